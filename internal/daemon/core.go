package daemon

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/rs/zerolog"
)

// coreRunner is the goroutine of the broker. Whoever started it stops it and waits for it.
type coreRunner struct {
	cancel   context.CancelFunc
	done     chan struct{} // closed when it has ended, for whatever reason
	panicked bool          // may be read when done is closed
}

// startCore gives the broker its goroutine: work is its Run.
//
// A panic in there ends the process. It left the tables of topics and subscribers in the middle of a change: a broker
// that went on would count and deliver by tables that lie, and nobody could tell. Started anew it is empty and right.
func startCore(log zerolog.Logger, work func(context.Context)) *coreRunner {
	ctx, cancel := context.WithCancel(context.Background())
	c := &coreRunner{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		defer func() {
			if p := recover(); p != nil {
				c.panicked = true
				log.WithLevel(zerolog.FatalLevel).Str("panic", fmt.Sprint(p)).Str("stack", string(debug.Stack())).
					Msg("defect in the core; conch ends, because its state cannot be trusted")
			}
		}()
		work(ctx)
	}()
	return c
}

// stop ends the core. Nobody may be submitting any more: what is in the inbox is not applied.
func (c *coreRunner) stop() {
	c.cancel()
	<-c.done
}

// outcome is nil for a core that was stopped, else ErrCorePanicked. Only when done is closed.
func (c *coreRunner) outcome() error {
	if c.panicked {
		return ErrCorePanicked
	}
	return nil
}
