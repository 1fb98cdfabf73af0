package daemon

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/rs/zerolog"
)

// coreRunner owns the goroutine of the broker: stop ends it and waits for it.
type coreRunner struct {
	cancel   context.CancelFunc
	done     chan struct{} // closed when the goroutine has ended, by stop or by a panic
	panicked bool          // read it only after done is closed
}

// startCore runs the broker on a goroutine of its own: work is Broker.Run.
//
// A panic there ends the process. The tables of topics and subscribers may be half changed: deliveries and counts could
// be wrong without any sign. A restarted process is empty and correct.
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

// stop ends the core. No goroutine may submit any more: batches in the inbox are not applied.
func (c *coreRunner) stop() {
	c.cancel()
	<-c.done
}

// outcome is nil after stop and ErrCorePanicked after a panic. Call it only after done is closed.
func (c *coreRunner) outcome() error {
	if c.panicked {
		return ErrCorePanicked
	}
	return nil
}
