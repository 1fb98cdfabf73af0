package connect

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/command"
)

// closeTime bounds what a driver does at the end of a connection: the acks that are outstanding, and Close.
const closeTime = 10 * time.Second

// life is what a connector does while it is connected; source and sink are the two.
type life interface {
	// connect connects, and carries messages until an error or the end of the context. It calls running once it is connected, and
	// again whenever something has worked.
	connect(ctx context.Context, running func()) error
	// release gives back what outlives a connection: at a pause, and at the end.
	release()
	// addTo fills in what is counted elsewhere than in the account. Any goroutine calls it.
	addTo(row *command.Connector)
}

// connector is one source or sink that runs. Its goroutine is run; done is closed at its end, and the Set waits for that.
type connector struct {
	plan    *Plan
	account account
	log     zerolog.Logger
	life    life
	cancel  context.CancelFunc // ends it
	done    chan struct{}
	changed chan struct{} // holds one note at most: paused or standby have changed

	mu      sync.Mutex              // guards the fields below
	paused  bool                    // by a command
	standby bool                    // another node of the cluster runs it
	end     context.CancelCauseFunc // ends the connection there is; nil if there is none
	tries   int                     // connections so far
}

// errPaused ends the connection of a connector that is to rest: it is paused, or another node runs it.
var errPaused = errors.New("paused")

// panicError is the error of a driver that panicked.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("defect in the driver: %v", p.value) }

// guard runs a method of a driver, of which a panic becomes an error.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p, debug.Stack()}
		}
	}()
	return f()
}

// run is the connector's goroutine, until the context ends. It begins once started is closed, and before, which is when the connector of the
// same name that ran before has ended.
func (c *connector) run(ctx context.Context, started, before <-chan struct{}) {
	defer close(c.done)
	defer c.life.release()
	select {
	case <-started:
	case <-ctx.Done():
	}
	if before != nil {
		<-before
	}
	var wait backoff
	for ctx.Err() == nil {
		if state := c.restState(); state != "" {
			c.life.release()
			c.account.enter(state, "")
			c.rest(ctx, 0)
			continue
		}
		err := c.once(ctx, &wait)
		switch {
		case ctx.Err() != nil, errors.Is(err, errPaused):
		case errors.Is(err, ErrEnd):
			c.log.Info().Msg("a source has ended: it is not connected again")
			c.life.release()
			c.account.enter(stateEnded, "")
			c.rest(ctx, 0)
		default:
			c.rest(ctx, c.report(err, &wait))
		}
	}
}

// once is one connection.
func (c *connector) once(ctx context.Context, wait *backoff) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	c.mu.Lock()
	if c.paused || c.standby {
		c.mu.Unlock()
		return errPaused
	}
	c.end = end
	c.tries++
	again := c.tries > 1
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.end = nil
		c.mu.Unlock()
	}()
	c.account.update(func(row *command.Connector) {
		if again {
			row.Restarts++
		}
	})
	c.account.enter(stateConnecting, "")
	connected := false
	err := c.life.connect(ctx, func() {
		wait.reset()
		if !connected {
			connected = true
			c.account.enter(stateRunning, "")
			c.log.Info().Msg("a connector is connected")
		}
	})
	if context.Cause(ctx) == errPaused { //nolint:errorlint // it is the cause itself
		return errPaused
	}
	return err
}

// report logs why a connection ended, and returns how long to wait for the next one.
func (c *connector) report(err error, wait *backoff) time.Duration {
	if err == nil {
		err = errors.New("the connection ended")
	}
	text := c.plan.target.Scrub(err.Error())
	state, delay := stateWaiting, wait.delay()
	if p := new(Permanent); errors.As(err, &p) {
		state, delay = stateFailed, jitter(longestDelay)
	}
	if p := new(panicError); errors.As(err, &p) {
		c.log.Error().Str("stack", c.plan.target.Scrub(string(p.stack))).Str("error", text).Msg("defect in the driver of a connector, which starts again")
	}
	c.log.Warn().Str("error", text).Dur("again_in", delay).Msg("the connection of a connector has ended")
	c.account.enter(state, text)
	return delay
}

// rest waits: for d, or without an end if d is 0; for a change of paused or standby; for the end of ctx.
func (c *connector) rest(ctx context.Context, d time.Duration) {
	var timer <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-timer:
	case <-c.changed:
	case <-ctx.Done():
	}
}

// restState is the state of a connector that is to rest, empty for one that is to run.
func (c *connector) restState() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.paused:
		return statePaused
	case c.standby:
		return stateStandby
	}
	return ""
}

// setPaused pauses the connector, or has it go on; one that waits for its next try tries at once.
func (c *connector) setPaused(paused bool) { c.setRest(&c.paused, paused) }

// setStandby has the connector rest while another node runs it.
func (c *connector) setStandby(standby bool) { c.setRest(&c.standby, standby) }

func (c *connector) setRest(field *bool, rests bool) {
	c.mu.Lock()
	*field = rests
	if rests && c.end != nil {
		c.end(errPaused)
	}
	c.mu.Unlock()
	note(c.changed)
}

// row is what is seen of it.
func (c *connector) row() command.Connector {
	row := c.account.read()
	if s, ok := c.life.(*sinkLife); ok {
		s.addTo(&row)
	}
	return row
}
