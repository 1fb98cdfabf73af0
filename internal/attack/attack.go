package attack

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Password is the default user's where a scenario wants one to be set. The prober logs in with it.
const Password = "attack-password"

// How long an attack may take, and a flood within it, where the target does not want less.
const (
	defaultLimit = 20 * time.Second
	defaultFlood = 4 * time.Second
)

// Scenario is one attack.
type Scenario struct {
	Name          string // its point, and a word: 1-patterns
	Title         string
	Cap           string // --max-memory of conch; empty is its default
	NeedsPassword bool   // the server wants Password: clients come as strangers
	ConchOnly     string // why it cannot be tried with Redis; empty if it can
	RedisArgs     []string
	run           func(*Target) error
}

// Point is the part of a name in front of the first dash, without a letter behind the number: 1b-pattern-each is of point 1.
func (s *Scenario) Point() string {
	point, _, _ := strings.Cut(s.Name, "-")
	return strings.TrimRight(point, "abcdefghij")
}

// Named finds a scenario by its name, or all of a point.
func Named(name string) (found []Scenario) {
	for _, s := range Scenarios() {
		if s.Name == name || s.Point() == name {
			found = append(found, s)
		}
	}
	return found
}

// Scenarios are all there are, in the order of their points.
func Scenarios() (all []Scenario) {
	for _, some := range [][]Scenario{
		memoryAttacks, commandAttacks, floodAttacks, nameAttacks, patternAttacks, uncountedAttacks, evictionAttacks,
	} {
		all = append(all, some...)
	}
	return all
}

// Target is the server under attack. One scenario runs on it at a time.
type Target struct {
	Addr  string
	Redis bool                             // it is no conch, and has no lines
	Begin func()                           // called when all is prepared and the attack begins; may be nil
	Note  func(format string, args ...any) // called with what is worth a word in the report; may be nil
	Scale int                              // divides the size of what takes long; 0 is 1
	Limit time.Duration                    // of an attack; 0 is 20 s
	Flood time.Duration                    // how long a flood takes; 0 is 4 s

	needsPassword bool
	ctx           context.Context
	readers       sync.WaitGroup
	mu            sync.Mutex
	conns         []*conn
}

// Run runs a scenario until it is through or Limit is over, and closes what it has opened. An error is a step that
// failed where nothing should: it may well be the finding. That time ran out is noted, and is no error.
func (t *Target) Run(ctx context.Context, s Scenario) error {
	t.Limit, t.Flood = cmp.Or(t.Limit, defaultLimit), cmp.Or(t.Flood, defaultFlood)
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

// begin ends the preparations.
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

// scaled is a count that takes long, or a part of it.
func (t *Target) scaled(n int) int { return n / max(1, t.Scale) }

// inParallel does something for numbers 0 to n-1 at once, and returns the first error.
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

// floodContext tells how long a flood goes on.
func (t *Target) floodContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.ctx, t.Flood)
}

// command is a RESP command.
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
