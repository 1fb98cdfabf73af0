package connect

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/command"
)

// sinkLife carries messages from an outlet to a driver. The connector's goroutine owns it, but for mu.
type sinkLife struct {
	plan    *Plan
	broker  Broker
	account *account
	log     zerolog.Logger
	limit   int
	driver  Sink // nil before the first connection, and after a panic
	rest    rest // of the delivery that is on its way; it outlives connections
	letters Input

	mu     sync.Mutex // guards the fields below
	outlet Outlet     // nil while the sink is paused
	before OutletCounts
}

// rest is what remains of a delivery.
type rest struct {
	delivery *Delivery // nil: nothing is on its way
	indices  []int     // of its messages that are neither written nor dead letters
	tries    []int     // of all its messages
}

// connect is one connection.
func (s *sinkLife) connect(ctx context.Context, running func()) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	if s.driver == nil {
		var err error
		if s.driver, err = s.plan.target.System.Sink(s.plan.address(s.limit, s.plan.warnTo(&s.log))); err != nil {
			return err
		}
	}
	panicked, err := s.plan.connection(ctx, s.driver.Connect, func() error {
		running()
		return s.carry(ctx, running)
	}, s.driver.Close)
	if panicked {
		s.driver = nil
	}
	return err
}

// open opens the outlet, unless it has stayed open over a connection's end.
func (s *sinkLife) open(ctx context.Context) error {
	if s.outlet != nil { // mu guards writes from here alone
		return nil
	}
	outlet, err := s.broker.OpenOutlet(ctx, OutletOptions{Name: s.plan.Name, Topic: s.plan.Topic, Where: s.plan.Where})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outlet = outlet
	return nil
}

// release closes the outlet: what is on its way comes again from durable topics, and is lost from plain ones.
func (s *sinkLife) release() {
	if s.letters != nil {
		s.letters.Close()
		s.letters = nil
	}
	if s.outlet == nil {
		return
	}
	if d := s.rest.delivery; d != nil {
		s.outlet.Written(d, len(d.Messages)-len(s.rest.indices))
	}
	s.rest = rest{}
	s.outlet.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = sum(s.before, s.outlet.Counts())
	s.outlet = nil
}

// counts are those of all outlets of the sink. Any goroutine may call it.
func (s *sinkLife) counts() OutletCounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outlet == nil {
		return s.before
	}
	return sum(s.before, s.outlet.Counts())
}

func sum(before, now OutletCounts) OutletCounts {
	return OutletCounts{
		Matched: before.Matched + now.Matched, Filtered: before.Filtered + now.Filtered, Lost: before.Lost + now.Lost, Pending: now.Pending, Lag: now.Lag,
	}
}

// addTo fills in what the outlet counts.
func (s *sinkLife) addTo(row *command.Connector) {
	c := s.counts()
	row.Matched, row.Filtered, row.Lost, row.Pending, row.Lag = c.Matched, c.Filtered, c.Lost, c.Pending, c.Lag
}

// carry writes delivery after delivery, and first what the connection before has left.
func (s *sinkLife) carry(ctx context.Context, running func()) error {
	for {
		if s.rest.delivery == nil {
			d, err := s.outlet.Next(ctx, s.plan.Batch)
			if err != nil {
				return err
			}
			s.begin(d)
		}
		if err := s.deliver(ctx, running); err != nil {
			return err
		}
		if err := s.outlet.Done(ctx, s.rest.delivery); err != nil {
			return err
		}
		s.rest = rest{}
	}
}

// begin takes over a delivery. What leaves conch says that it came through it, if the system has headers.
func (s *sinkLife) begin(d *Delivery) {
	s.rest = rest{delivery: d, tries: make([]int, len(d.Messages)), indices: make([]int, len(d.Messages))}
	copy(s.rest.tries, d.Tries)
	alone := addPassed(nil, s.broker.ID()) // of all messages without headers
	for i := range d.Messages {
		s.rest.indices[i] = i
		switch m := &d.Messages[i]; {
		case !s.plan.target.System.Headers:
		case len(m.Headers) == 0:
			m.Headers = alone
		default:
			m.Headers = addPassed(m.Headers, s.broker.ID())
		}
	}
}

// deliver writes what remains of the delivery, until nothing does.
func (s *sinkLife) deliver(ctx context.Context, running func()) error {
	var wait backoff
	for len(s.rest.indices) > 0 {
		refused, err := s.write(ctx)
		if err != nil {
			return err
		}
		running()
		if refused == nil {
			return nil
		}
		if err := s.bury(ctx, refused); err != nil {
			return err
		}
		if len(s.rest.indices) > 0 && !pause(ctx, wait.delay()) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// write writes the rest once. What was taken is counted, and is no longer of the rest; refused is the error of what was not.
func (s *sinkLife) write(ctx context.Context) (refused *Refused, err error) {
	r := &s.rest
	batch := r.delivery.Messages
	if len(r.indices) < len(batch) {
		batch = make([]Message, len(r.indices))
		for i, index := range r.indices {
			batch[i] = r.delivery.Messages[index]
		}
	}
	err = guard(func() error {
		ctx, cancel := context.WithTimeout(ctx, s.plan.Timeout)
		defer cancel()
		return s.driver.Write(ctx, batch)
	})
	if err == nil {
		r.indices = nil
	} else if !errors.As(err, &refused) {
		s.account.update(func(row *command.Connector) { row.Retried += uint64(len(batch)) })
		return nil, err
	} else {
		r.keep(refused.Indices)
	}
	s.account.update(func(row *command.Connector) { row.Sent += uint64(len(batch) - len(r.indices)) })
	return refused, nil
}

// keep has the rest be what was refused, by index in the batch that was written.
func (r *rest) keep(refused []int) {
	written := r.indices
	r.indices = nil
	for i, index := range written {
		if slices.Contains(refused, i) {
			r.indices = append(r.indices, index)
			r.tries[index]++
		}
	}
}

// bury makes dead letters of what has had its tries. They have taken effect when it returns.
func (s *sinkLife) bury(ctx context.Context, refused *Refused) error {
	var left, dead []int
	for _, index := range s.rest.indices {
		if s.rest.tries[index] >= s.plan.Tries {
			dead = append(dead, index)
		} else {
			left = append(left, index)
		}
	}
	s.account.update(func(row *command.Connector) { row.Retried += uint64(len(left)) })
	if len(dead) == 0 {
		return nil
	}
	text := s.plan.target.Scrub(refused.Error())
	s.log.Debug().Str("error", text).Int("messages", len(dead)).Msg("messages of a connector are given up")
	if s.plan.Dead != "" {
		letters := make([]Message, len(dead))
		for i, index := range dead {
			letters[i] = deadLetter(s.rest.delivery.Messages[index], s.plan.Dead, "conch-dead-sink", s.plan.Name, errors.New(text))
		}
		if err := s.publish(ctx, letters); err != nil {
			return err
		}
	}
	s.rest.indices = left
	s.account.update(func(row *command.Connector) { row.Dead += uint64(len(dead)) })
	s.account.enter(stateRunning, text)
	return nil
}

// publish publishes dead letters, and waits until they have taken effect.
func (s *sinkLife) publish(ctx context.Context, letters []Message) (err error) {
	if s.letters == nil {
		if s.letters, err = s.broker.OpenInput(ctx, InputOptions{Name: "dead:" + s.plan.Name}); err != nil {
			return err
		}
	}
	receipt := s.letters.Publish(letters)
	<-receipt.Done()
	if err = receipt.Result().Err; err != nil {
		s.letters.Close()
		s.letters = nil
	}
	return err
}
