package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/command"
)

// Set is the connectors of a process: it starts them, and waits for their end. Any goroutine may call its methods.
type Set struct {
	broker   Broker
	compiler *Compiler
	log      zerolog.Logger
	life     map[command.Direction]context.Context // of the connectors of a direction
	end      map[command.Direction]context.CancelFunc
	started  chan struct{} // closed by Start

	mu      sync.Mutex   // guards the fields below; held for a few instructions, because the core calls List
	running []*connector // sources first, in the order in which they were added
	ending  []*connector // removed, and not yet at their end
	closed  bool         // nothing starts any more
	shared  bool         // nodes of a cluster share them: see SetStandby

	change sync.Mutex // one Apply, Add or Remove at a time
}

var _ command.Connectors = (*Set)(nil)

// ErrNoConnector is the error for a name that no connector has.
var ErrNoConnector = command.ErrNoConnector

// NewSet makes a set without connectors. None connects before Start.
func NewSet(b Broker, c *Compiler, log zerolog.Logger) *Set {
	s := &Set{broker: b, compiler: c, log: log, life: make(map[command.Direction]context.Context), end: make(map[command.Direction]context.CancelFunc), started: make(chan struct{})}
	for _, d := range []command.Direction{command.Source, command.Sink} {
		s.life[d], s.end[d] = context.WithCancel(context.Background())
	}
	return s
}

// Start has connectors connect: those that there are, and all later ones. It is called once.
func (s *Set) Start() { close(s.started) }

// CompileAll checks connectors together: their names, and loops. The error of one is a *ConfigError.
func (k *Compiler) CompileAll(configs []Config) ([]*Plan, error) {
	plans := make([]*Plan, len(configs))
	for i, c := range configs {
		plan, err := k.Compile(c)
		if err != nil {
			return nil, &ConfigError{i, err}
		}
		if slices.ContainsFunc(plans[:i], func(p *Plan) bool { return p.Direction == c.Direction && p.Name == c.Name }) {
			return nil, &ConfigError{i, &KeyError{"name", 1, fmt.Sprintf("there is another %s %s", c.Direction, c.Name)}}
		}
		plans[i] = plan
	}
	return plans, CheckLoops(plans)
}

// ConfigError is the error of one of several connectors.
type ConfigError struct {
	Index int
	Err   error
}

func (e *ConfigError) Error() string { return e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

// Apply makes the connectors of the config file these: those that are new start, those that are there no more end, those that have changed
// start again, all others go on. Connectors that were added at run time stay. At an error nothing changes.
func (s *Set) Apply(configs []Config) error {
	s.change.Lock()
	defer s.change.Unlock()
	plans, err := s.compiler.CompileAll(configs)
	if err != nil {
		return err
	}
	added := s.plans(func(c *connector) bool { return !c.plan.FromFile })
	for _, p := range plans {
		if slices.ContainsFunc(added, func(q *Plan) bool { return q.Direction == p.Direction && q.Name == p.Name }) {
			return fmt.Errorf("%s %s of the config file was added at run time: remove that first", p.Direction, p.Name)
		}
	}
	if err := CheckLoops(slices.Concat(plans, added)); err != nil {
		return err
	}
	for _, old := range s.plans(func(c *connector) bool { return c.plan.FromFile }) {
		if !slices.ContainsFunc(plans, old.same) {
			s.remove(old)
		}
	}
	kept := s.plans(func(c *connector) bool { return c.plan.FromFile })
	for _, p := range plans {
		if !slices.ContainsFunc(kept, p.same) {
			s.start(p)
		}
	}
	return nil
}

// plans are those of the connectors that run.
func (s *Set) plans(which func(*connector) bool) (plans []*Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.running {
		if which(c) {
			plans = append(plans, c.plan)
		}
	}
	return plans
}

// start starts a connector, behind the end of one of that name that was removed.
func (s *Set) start(p *Plan) {
	c := &connector{plan: p, done: make(chan struct{}), changed: make(chan struct{}, 1)}
	c.log = s.log.With().Str(string(p.Direction), p.Name).Str("url", p.Shown()).Logger()
	c.account.row = command.Connector{
		Name: p.Name, Direction: p.Direction, System: p.target.System.Name, URL: p.Shown(), Topic: p.Topic, Where: p.Where, DeadTopic: p.Dead,
		FromFile: p.FromFile, State: stateConnecting, Since: time.Now(),
	}
	if p.Direction == command.Source {
		c.life = &sourceLife{plan: p, broker: s.broker, account: &c.account, log: c.log, limit: s.compiler.Limit}
	} else {
		c.life = &sinkLife{plan: p, broker: s.broker, account: &c.account, log: c.log, limit: s.compiler.Limit}
	}
	var ctx context.Context
	ctx, c.cancel = context.WithCancel(s.life[p.Direction])
	var before <-chan struct{}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.cancel()
		return
	}
	c.standby = s.shared
	for _, e := range s.ending {
		if e.plan.Direction == p.Direction && e.plan.Name == p.Name {
			before = e.done
		}
	}
	at := len(s.running)
	if p.Direction == command.Source {
		at = max(0, slices.IndexFunc(s.running, func(o *connector) bool { return o.plan.Direction == command.Sink }))
		if at == 0 && len(s.running) > 0 && s.running[0].plan.Direction == command.Source {
			at = len(s.running) // sources alone
		}
	}
	s.running = slices.Insert(s.running, at, c)
	go c.run(ctx, s.started, before) // stop waits for it
}

// SetStandby has all connectors rest while another node of a cluster runs them. Those that are added later rest until the next call: they may
// be paused.
func (s *Set) SetStandby(standby bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shared = true
	for _, c := range s.running {
		c.setStandby(standby)
	}
}

// remove ends a connector, and does not wait for its end.
func (s *Set) remove(p *Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.running, func(c *connector) bool { return c.plan == p })
	if i < 0 {
		return
	}
	c := s.running[i]
	s.running = slices.Delete(s.running, i, i+1)
	s.ending = append(slices.DeleteFunc(s.ending, (*connector).hasEnded), c)
	c.cancel()
}

// find is the connector of a name, nil if there is none.
func (s *Set) find(d command.Direction, name string) *connector {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.running {
		if c.plan.Direction == d && c.plan.Name == name {
			return c
		}
	}
	return nil
}

// List implements command.Connectors.
func (s *Set) List() []command.Connector {
	s.mu.Lock()
	running := slices.Clone(s.running)
	s.mu.Unlock()
	rows := make([]command.Connector, len(running))
	for i, c := range running {
		rows[i] = c.row()
	}
	return rows
}

// Add implements command.Connectors.
func (s *Set) Add(_ context.Context, n command.NewConnector) error {
	s.change.Lock()
	defer s.change.Unlock()
	config := NewConfig(n.Direction)
	config.Name, config.URL = n.Name, n.URL
	for _, option := range n.Options {
		if key := option[0]; key == "name" || key == "from" || key == "to" {
			return &KeyError{key, 0, "stands before the options"}
		}
		if err := config.Set(option[0], option[1]); err != nil {
			return err
		}
	}
	plan, err := s.compiler.Compile(config)
	if err != nil {
		return err
	}
	if s.find(n.Direction, n.Name) != nil {
		return fmt.Errorf("there is a %s %s already", n.Direction, n.Name)
	}
	if err := CheckLoops(append(s.plans(func(*connector) bool { return true }), plan)); err != nil {
		return err
	}
	s.start(plan)
	s.log.Info().Str(string(n.Direction), n.Name).Str("url", plan.Shown()).Str("user", n.By).Msg("a connector was added")
	return nil
}

// Pause implements command.Connectors.
func (s *Set) Pause(_ context.Context, d command.Direction, name string) error {
	return s.SetPaused(d, name, true)
}

// Resume implements command.Connectors.
func (s *Set) Resume(_ context.Context, d command.Direction, name string) error {
	return s.SetPaused(d, name, false)
}

// SetPaused pauses a connector, or has it go on.
func (s *Set) SetPaused(d command.Direction, name string, paused bool) error {
	c := s.find(d, name)
	if c == nil {
		return ErrNoConnector
	}
	c.setPaused(paused)
	return nil
}

// Remove implements command.Connectors. It waits for the connector's end, so that nothing is kept of it behind the reply.
func (s *Set) Remove(ctx context.Context, d command.Direction, name string) error {
	s.change.Lock()
	defer s.change.Unlock()
	c := s.find(d, name)
	switch {
	case c == nil && d == command.Source: // it may have been in the file once
		return s.dropPositions(ctx, name)
	case c == nil:
		return ErrNoConnector
	case c.plan.FromFile:
		return fmt.Errorf("%s %s is of the config file: remove it there, and send SIGHUP", d, name)
	}
	s.remove(c.plan)
	select {
	case <-c.done:
	case <-ctx.Done():
		return fmt.Errorf("%s %s has not ended yet: %w", d, name, context.Cause(ctx))
	}
	if d == command.Source {
		_, err := s.broker.DropPositions(ctx, name)
		return err //nolint:wrapcheck // it is the broker's
	}
	return nil
}

// dropPositions removes what is kept of a source that is no connector any more.
func (s *Set) dropPositions(ctx context.Context, name string) error {
	had, err := s.broker.DropPositions(ctx, name)
	if err == nil && !had {
		return ErrNoConnector
	}
	return err //nolint:wrapcheck // it is the broker's
}

// StopSources ends all sources: what they have read takes effect and is acknowledged, as far as the context allows. Nothing starts any
// more.
func (s *Set) StopSources(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.stop(ctx, command.Source)
}

// StopSinks ends all sinks, once they have sent what waits for them, as far as the context allows.
func (s *Set) StopSinks(ctx context.Context) error {
	for ctx.Err() == nil && slices.ContainsFunc(s.List(), isSending) {
		pause(ctx, drainPause)
	}
	if ctx.Err() != nil { // a write that goes on is interrupted, and its sink has a moment to end
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), drainPause)
		defer cancel()
	}
	return s.stop(ctx, command.Sink)
}

// drainPause is the time between two looks at what sinks have yet to send, and what those that are interrupted have to end.
const drainPause = 10 * time.Millisecond

func isSending(c command.Connector) bool {
	return c.Direction == command.Sink && c.State == stateRunning && c.Pending > 0
}

// stop ends the connectors of a direction, and waits for them.
func (s *Set) stop(ctx context.Context, d command.Direction) error {
	s.end[d]()
	s.mu.Lock()
	all := slices.Concat(s.running, s.ending)
	s.mu.Unlock()
	var late []string
	for _, c := range all {
		if c.plan.Direction != d {
			continue
		}
		select {
		case <-c.done:
		case <-ctx.Done():
			if !c.hasEnded() {
				late = append(late, c.plan.Name)
			}
		}
	}
	if len(late) > 0 {
		return errors.New("these connectors have not ended in time: " + strings.Join(late, ", "))
	}
	return nil
}

func (c *connector) hasEnded() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}
