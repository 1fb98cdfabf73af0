package command

import (
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// Options are what a Service can be told. The zero value serves with the defaults, in protected mode, and logs nothing.
type Options struct {
	Limits protocol.Limits

	// MaxConnections may be open at once; one more is told so and closed. Default 10,000, as Redis.
	MaxConnections int

	// MaxSubscriptions may be held by one connection. Default 1,048,576, as many as a command has arguments.
	MaxSubscriptions int
	// MaxPredicates may be held by one connection: each costs whoever publishes to its topic. Default 1,000.
	MaxPredicates int
	// MaxPredicate is how many bytes a predicate may have. Default 4 KiB.
	MaxPredicate int
	// MaxPredicatePayload is up to how many bytes a message is looked into; a larger one has no fields. Default 1 MiB.
	MaxPredicatePayload int
	// MaxMemory is how many bytes all connections together may make the server hold: see memlimit.go. Over it, who holds
	// most is evicted. Default 0, which is no cap; the conch command sets one.
	MaxMemory int64
	// KeepAlive is how long a peer may be silent before the kernel asks whether it is still there. One that does not
	// answer is given up after as long again, and so is one that does not acknowledge what it was sent. Default 60 s.
	KeepAlive time.Duration

	// SlowConsumer is what a subscriber that is too slow loses: its connection, or messages. A connection may choose
	// otherwise for itself. Default Disconnect.
	SlowConsumer outbox.Policy
	// SlowHard is how many bytes may wait for one subscriber before SlowConsumer says what to do. Default 32 MiB. An
	// outbox under it always takes one more message. Replies to the connection's own commands do not count.
	SlowHard int
	// SlowSoft is how many bytes may wait for longer than SlowTime, under Disconnect only. Default 8 MiB. Both as Redis'
	// pubsub class.
	SlowSoft int
	// SlowTime is also how long a peer may take no byte at all while bytes wait for it. Default 60 s. More than twice
	// KeepAlive has no effect on that: tcp(7) has one time for peers that are gone and for those that do not read.
	SlowTime time.Duration

	// Unprotected switches protected mode off: peers from other machines are served.
	Unprotected bool

	// DrainTimeout is how long a connection that ends may take to read what was queued for it. Default 5 s.
	DrainTimeout time.Duration

	// HandshakeTimeout is how long a TLS handshake may take as a whole. Default 10 s.
	HandshakeTimeout time.Duration
	// CertificateUser takes the common name of a verified client certificate for the name of the user.
	CertificateUser bool

	// ACLFile holds the users, in Redis' syntax. Empty if there is none: then SETUSER makes users for this run.
	ACLFile string
	// RequirePassword is the default user's password; empty for none. New keeps nothing but its digest.
	RequirePassword string
	// AuthTimeout is how long a peer may take to say who it is, where that is asked. Default 10 s.
	AuthTimeout time.Duration

	// Settings are shown by CONFIG GET in addition to these options.
	Settings []Setting

	Version string         // what INFO and HELLO say; default "dev"
	Log     zerolog.Logger // the zero Logger writes nowhere
	// Stop is called when a peer says SHUTDOWN. It must not block: it runs on the core's goroutine. Nil refuses.
	Stop func()
	// Collect is called when the runtime's collector should let less garbage pile up, or may let more: in percent of what
	// lives, as debug.SetGCPercent takes it. May be nil.
	Collect func(percent int)
	// LogDropped tells how many log lines were lost because the log could not be written fast enough. May be nil.
	LogDropped func() uint64
}

// Setting is a setting of the program, with its value as text.
type Setting struct{ Name, Value string }

// withDefaults fills in what is zero and refuses what makes no sense.
func (o Options) withDefaults() (Options, error) {
	o.Limits = o.Limits.WithDefaults()
	defaultTo(&o.MaxConnections, 10_000)
	defaultTo(&o.MaxSubscriptions, 1<<20)
	defaultTo(&o.MaxPredicates, 1000)
	defaultTo(&o.MaxPredicate, 4<<10)
	defaultTo(&o.MaxPredicatePayload, 1<<20)
	defaultTo(&o.KeepAlive, 60*time.Second)
	defaultTo(&o.SlowHard, 32<<20)
	defaultTo(&o.SlowSoft, min(8<<20, o.SlowHard))
	defaultTo(&o.SlowTime, 60*time.Second)
	defaultTo(&o.DrainTimeout, 5*time.Second)
	defaultTo(&o.HandshakeTimeout, 10*time.Second)
	defaultTo(&o.AuthTimeout, 10*time.Second)
	defaultTo(&o.Version, "dev")
	if o.LogDropped == nil {
		o.LogDropped = func() uint64 { return 0 }
	}
	for name, n := range map[string]int{
		"max-connections": o.MaxConnections, "max-subscriptions": o.MaxSubscriptions,
		"max-predicates": o.MaxPredicates, "max-predicate": o.MaxPredicate, "max-predicate-payload": o.MaxPredicatePayload,
		"slow-hard": o.SlowHard, "slow-soft": o.SlowSoft,
	} {
		if n < 0 {
			return o, fmt.Errorf("--%s must not be negative: %d", name, n)
		}
	}
	if o.MaxMemory < 0 {
		return o, fmt.Errorf("--max-memory must not be negative: %d", o.MaxMemory)
	}
	if o.SlowSoft > o.SlowHard {
		return o, fmt.Errorf("--slow-soft %d is over --slow-hard %d", o.SlowSoft, o.SlowHard)
	}
	if min(o.KeepAlive, o.SlowTime, o.DrainTimeout, o.HandshakeTimeout, o.AuthTimeout) < 0 {
		return o, errors.New("--keep-alive, --slow-time, --drain-timeout, --handshake-timeout and --auth-timeout must not be negative")
	}
	return o, nil
}

// filterLimits are what bounds a predicate.
func (o *Options) filterLimits() filter.Limits {
	return filter.Limits{Expression: o.MaxPredicate, Payload: o.MaxPredicatePayload}
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
