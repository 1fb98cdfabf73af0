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

// Options configure a Service. The zero value serves with the defaults, in protected mode, and
// logs nothing.
type Options struct {
	// Limits bound what the parser accepts from one client.
	Limits protocol.Limits

	// MaxConnections bounds the open connections; one more gets an error and is closed. Default
	// 10,000, as in Redis.
	MaxConnections int

	// MaxSubscriptions bounds the subscriptions of one connection. Default 1,048,576, as many
	// as a command has arguments.
	MaxSubscriptions int
	// MaxPredicates bounds the predicates of one connection: each costs every publisher to its
	// topic. Default 1,000.
	MaxPredicates int
	// MaxPredicate bounds the bytes of a predicate. Default 4 KiB.
	MaxPredicate int
	// MaxPredicatePayload bounds the messages that predicates look into; a larger message has
	// no fields. Default 1 MiB.
	MaxPredicatePayload int
	// MaxMemory bounds the memory that all connections hold together: see memusage.go. Above
	// it, the largest are evicted. Default 0: no bound. The conch command sets one.
	MaxMemory int64
	// Recent is how many bytes of the latest messages are kept, for subscriptions that start in the past. It is a part of
	// MaxMemory. Default 0: none.
	Recent int
	// Epoch names the sequence numbers; empty makes one up.
	Epoch string
	// Sequence is the number of the last message before this start, as in broker.Options.
	Sequence uint64
	// Earlier are the epochs for which Resolve may have an answer, the newest first. HELLO shows them.
	Earlier []string
	// Resolve returns the number in this epoch that a position of an earlier one has, if all is known that came between. It may
	// be nil; else any goroutine calls it.
	Resolve func(epoch string, number uint64) (same uint64, ok bool)
	// Store keeps streams; without one there are none. Its owner closes it after the core has ended.
	Store Store
	// Order makes this a node of several with one order; nil for one alone.
	Order Order
	// Nodes are those of the cluster; nil for a broker alone.
	Nodes Nodes
	// Unsynced bounds the bytes of records that are not safe yet: above it, appends wait at their readers. Default 64 MiB.
	Unsynced int64
	// LogStatus returns how the log does, without waiting. It may be nil; else any goroutine calls it.
	LogStatus func() LogStatus
	// LogControl is for operators. It is nil without a log on disk.
	LogControl LogControl
	// ConnectCommand is which clients may change connectors at run time. Default ConnectNo.
	ConnectCommand ConnectCommand
	// KeepAlive is the silence after which the kernel probes the client. A client that answers
	// no probe for as long again is gone. So is one that acknowledges no data. Default 60 s.
	KeepAlive time.Duration

	// SlowConsumer is what a subscriber loses that is too slow: its connection, or messages.
	// SLOW changes it for one connection. Default Disconnect.
	SlowConsumer outbox.Policy
	// SlowHard is how many bytes may wait for one subscriber before SlowConsumer applies.
	// Default 32 MiB.
	//
	// An outbox below it always takes one more message. Replies to the connection's own
	// commands do not count.
	SlowHard int
	// SlowSoft is how many bytes may wait for longer than SlowTime, under Disconnect only.
	// Default 8 MiB. Both defaults are those of Redis' pubsub class.
	SlowSoft int
	// SlowTime is also how long a client may take no byte while bytes wait for it. Default 60
	// s.
	//
	// Beyond twice KeepAlive it has no effect on that: tcp(7) has one timeout for clients that
	// are gone and for those that do not read.
	SlowTime time.Duration

	// IsLoading makes a service refuse commands with LOADING until [Service.SetLoaded].
	IsLoading bool
	// NodeName and NodeAddress are the name of this node and the address, as host:port, at which clients reach it; empty for a broker
	// alone, or if clients are not to know it.
	NodeName, NodeAddress string

	// Unprotected turns protected mode off: clients on other machines are served without a
	// password.
	Unprotected bool

	// Next returns the address, as host:port, of the server that clients go on with when this one stops, or was removed from its cluster;
	// "" for none. The core calls it, so it must not block. It may be nil.
	Next func() string

	// DrainTimeout is how long an ending connection may take to read its outbox. Default 5 s.
	DrainTimeout time.Duration

	// HandshakeTimeout bounds a whole TLS handshake. Default 10 s.
	HandshakeTimeout time.Duration
	// CertificateUser makes the common name of a verified client certificate the name of the
	// user.
	CertificateUser bool

	// ACLFile holds the users, in Redis' syntax. If it is empty, ACL SETUSER makes users for
	// this run only.
	ACLFile string
	// RequirePassword is the default user's password; empty for none. NewService keeps only its
	// digest.
	RequirePassword string
	// AuthTimeout is how long a client may take to authenticate, where that is required.
	// Default 10 s.
	AuthTimeout time.Duration

	// Settings are shown by CONFIG GET in addition to these options.
	Settings []Setting

	Version string         // in INFO; default "dev"
	Log     zerolog.Logger // the zero Logger writes nowhere
	// Stop is called for SHUTDOWN. It runs on the core's goroutine and must not block. With
	// nil, SHUTDOWN is refused.
	Stop func()
	// Collect is called to change the garbage collector's target, in the percent of
	// debug.SetGCPercent. It may be nil.
	Collect func(percent int)
	// LogDropped returns the number of log lines lost because the log was too slow. It may be
	// nil.
	LogDropped func() uint64
}

// Setting is a setting of the program, with its value as text.
type Setting struct{ Name, Value string }

// withDefaults replaces zero values by defaults, and refuses values that make no sense.
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
	defaultTo(&o.Unsynced, 64<<20)
	defaultTo(&o.Version, "dev")
	if o.LogDropped == nil {
		o.LogDropped = func() uint64 { return 0 }
	}
	for name, n := range map[string]int{
		"max-connections": o.MaxConnections, "max-subscriptions": o.MaxSubscriptions,
		"max-predicates": o.MaxPredicates, "max-predicate": o.MaxPredicate, "max-predicate-payload": o.MaxPredicatePayload,
		"slow-hard": o.SlowHard, "slow-soft": o.SlowSoft, "recent": o.Recent,
	} {
		if n < 0 {
			return o, fmt.Errorf("--%s must not be negative: %d", name, n)
		}
	}
	if o.MaxMemory < 0 {
		return o, fmt.Errorf("--max-memory must not be negative: %d", o.MaxMemory)
	}
	if o.MaxMemory > 0 && int64(o.Recent) > o.MaxMemory/2 {
		return o, fmt.Errorf("--recent %d is over half of --max-memory %d: clients would have too little", o.Recent, o.MaxMemory)
	}
	if o.SlowSoft > o.SlowHard {
		return o, fmt.Errorf("--slow-soft %d is over --slow-hard %d", o.SlowSoft, o.SlowHard)
	}
	if min(o.KeepAlive, o.SlowTime, o.DrainTimeout, o.HandshakeTimeout, o.AuthTimeout) < 0 {
		return o, errors.New("--keep-alive, --slow-time, --drain-timeout, --handshake-timeout and --auth-timeout must not be negative")
	}
	return o, nil
}

// filterLimits are the bounds of a predicate.
func (o *Options) filterLimits() filter.Limits {
	return filter.Limits{Expression: o.MaxPredicate, Payload: o.MaxPredicatePayload}
}

// defaultTo sets a field that is zero.
func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
