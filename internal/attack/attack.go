package attack

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Password is the password of the default user for scenarios that need one. The prober authenticates with it.
const Password = "attack-password"

// The defaults of Target.Limit and Target.Flood.
const (
	defaultLimit = 20 * time.Second
	defaultFlood = 4 * time.Second
)

// Scenario is one attack.
type Scenario struct {
	Name          string // its point and a word: 1-patterns
	Title         string
	Cap           string        // --max-memory of conch; empty is its default
	NeedsPassword bool          // the server requires Password: clients start unauthenticated
	Web           bool          // it needs Target.HTTP, and messages that are kept
	Fsync         string        // conch has a directory, with that --fsync, and Redis an append-only file
	Limit         time.Duration // in place of that of Target, if that has none
	ConchOnly     string        // reason why Redis cannot run it; empty if it can
	RedisArgs     []string
	run           func(*Target) error
}

// Point is the number at the start of the name: 1b-pattern-each is of point 1.
func (s *Scenario) Point() string {
	point, _, _ := strings.Cut(s.Name, "-")
	return strings.TrimRight(point, "abcdefghijklmnopqrstuvwxyz")
}

// Named returns the scenario of a name, or all of a point.
func Named(name string) (found []Scenario) {
	for _, s := range Scenarios() {
		if s.Name == name || s.Point() == name {
			found = append(found, s)
		}
	}
	return found
}

// Scenarios returns all scenarios in the order of their points.
func Scenarios() (all []Scenario) {
	for _, some := range [][]Scenario{
		memoryAttacks, commandAttacks, floodAttacks, nameAttacks, patternAttacks, uncountedAttacks, evictionAttacks,
		webAttacks, streamAttacks, whyAttacks,
	} {
		all = append(all, some...)
	}
	return all
}

// Target is the server under attack. It runs one scenario at a time.
type Target struct {
	Addr  string
	HTTP  string                           // where it listens for HTTP, for scenarios that need it
	HTTPS string                           // the same over TLS; empty if it does not
	Redis bool                             // a Redis server, without lines
	Begin func()                           // called after the preparations, when the attack begins; may be nil
	Note  func(format string, args ...any) // called with remarks for the report; may be nil
	Scale int                              // divides the size of long steps; 0 means 1
	Limit time.Duration                    // of an attack; 0 means 20 s
	Flood time.Duration                    // duration of a flood; 0 means 4 s

	needsPassword bool
	ctx           context.Context
	readers       sync.WaitGroup
	mu            sync.Mutex
	conns         []*conn
}

// Run runs a scenario until it is done or Limit has passed, and closes its connections. An error is an unexpected failure
// of a step, which may be the finding. A timeout is noted and is no error.
func (t *Target) Run(ctx context.Context, s Scenario) error {
	t.Limit, t.Flood = cmp.Or(t.Limit, s.Limit, defaultLimit), cmp.Or(t.Flood, defaultFlood)
	ctx, stop := context.WithTimeout(ctx, t.Limit)
	defer stop()
	t.ctx = ctx
	t.needsPassword = s.NeedsPassword
	closing := context.AfterFunc(t.ctx, t.closeAll)
	defer closing()
	err := s.run(t)
	over := t.ctx.Err() != nil
	t.closeAll()
	t.readers.Wait()
	if over {
		t.note("not through within %v", t.Limit)
		return nil
	}
	return err
}

// begin marks the start of the attack.
func (t *Target) begin() {
	if t.Begin != nil {
		t.Begin()
	}
}

func (t *Target) note(format string, args ...any) {
	if t.Note != nil {
		t.Note(format, args...)
	}
}

// scaled divides a count by Scale.
func (t *Target) scaled(n int) int { return n / max(1, t.Scale) }

// inParallel calls do for 0 to n-1 in parallel and returns the first error.
func inParallel(n int, do func(i int) error) error {
	var all sync.WaitGroup
	failed := make(chan error, n)
	for i := range n {
		all.Go(func() {
			if err := do(i); err != nil {
				failed <- err
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// floodContext returns a context that ends after Flood.
func (t *Target) floodContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.ctx, t.Flood)
}

// flood opens n connections, and sends text over each of them repeatedly, most bytes at most.
func (t *Target) flood(n int, dial func() (*conn, error), text string, most int) error {
	conns := make([]*conn, n)
	for i := range conns {
		c, err := dial()
		if err != nil {
			return err
		}
		conns[i] = c
	}
	t.begin()
	ctx, stop := t.floodContext()
	defer stop()
	return inParallel(n, func(i int) error {
		conns[i].writeRepeatedly(ctx, text, most)
		return nil
	})
}

// command encodes a RESP command.
func command(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n", len(arg))
		b.WriteString(arg)
		b.WriteString("\r\n")
	}
	return b.String()
}
