package daemon

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/server"
)

// daemon is the running broker: what serve has built and takes down again, in the opposite order.
type daemon struct {
	log               *logger
	core              *coreRunner
	server            *server.Server
	listeners         *listeners
	shutdownRequested chan struct{} // a peer said SHUTDOWN; filled by the core, which must not wait
}

// Serve runs the broker until a signal ends it.
func Serve(s *config.Config, stderr io.Writer, signals <-chan os.Signal) error {
	log := openLog(s, stderr)
	defer log.close()
	c, err := build(s, log)
	if err != nil {
		return err
	}
	c.announce(s)
	stop, followed := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-followed }()
	go func() { defer close(followed); scaleProcs(stop) }()
	defer c.listeners.follow(log.Logger)()
	c.listeners.serve(c.server)
	return c.wait(signals)
}

// build makes all parts. The ports come first: they are what fails in practice, and nothing is to be undone then.
func build(s *config.Config, log *logger) (*daemon, error) {
	listeners, err := openListeners(s)
	if err != nil {
		return nil, err
	}
	s.Server.Collect = collect
	s.Server.Log = log.Logger
	s.Server.LogDropped = log.dropped
	shutdownRequested := make(chan struct{}, 1)
	s.Server.Stop = func() {
		select {
		case shutdownRequested <- struct{}{}:
		default: // it is known already
		}
	}
	b := broker.New(broker.Options{})
	srv, err := server.New(b, s.Server)
	if err != nil {
		listeners.close()
		if errors.Is(err, server.ErrACLFile) {
			return nil, err //nolint:wrapcheck // it says which file and what to do
		}
		return nil, &OptionsError{err}
	}
	s.Server = srv.Options() // with what the server made of them: the log shows what is in force
	return &daemon{log: log, core: startCore(log.Logger, b.Run), server: srv, listeners: listeners, shutdownRequested: shutdownRequested}, nil
}

// announce writes the first line of the log: what runs where, with which settings in force.
func (c *daemon) announce(s *config.Config) {
	line := c.log.Info().Str("version", s.Server.Version).Func(c.listeners.describe)
	if s.File != "" {
		line = line.Str("config", s.File)
	}
	for _, setting := range config.Settings() {
		line = line.Interface(setting.Name, setting.Get(s))
	}
	line.Msg("listening")

	limit, known := descriptorLimit()
	warnDescriptors(c.log.Logger, limit, known, s.Server.MaxConnections)
}

// spareDescriptors are for what is not a served connection: the listener, the log, the poller, refusals.
const spareDescriptors = 32

// warnDescriptors warns of a limit that would be hit before max-connections is: peers would then wait at a port that
// does not accept them, and not be told why.
func warnDescriptors(log zerolog.Logger, limit uint64, known bool, connections int) {
	if need := uint64(connections) + spareDescriptors; known && limit < need {
		log.Warn().Uint64("limit", limit).Uint64("needed", need).Int("max-connections", connections).
			Msg("the limit of open descriptors is too low for max-connections: raise it (ulimit -n) or lower max-connections")
	}
}

// wait serves until a signal to stop comes, or the core dies.
func (c *daemon) wait(signals <-chan os.Signal) error {
	for {
		select {
		case sig := <-signals:
			if c.handleSignal(sig) {
				continue
			}
			logAtAnyLevel(&c.log.Logger, zerolog.InfoLevel).Stringer("signal", sig).Msg("stopping: connections drain first")
			return c.stop(signals)
		case <-c.shutdownRequested:
			logAtAnyLevel(&c.log.Logger, zerolog.InfoLevel).Msg("stopping: a peer said SHUTDOWN; connections drain first")
			return c.stop(signals)
		case <-c.core.done:
			return c.core.outcome()
		}
	}
}

// handleSignal does what a signal asks for, if that is not to end.
func (c *daemon) handleSignal(sig os.Signal) bool {
	switch sig {
	case VerbositySignal:
		c.log.raiseVerbosity()
	case reloadSignal:
		c.reload()
	default:
		return false
	}
	return true
}

// reload reads again what can change while conch runs. What comes of it is said by who reads it.
func (c *daemon) reload() {
	line := logAtAnyLevel(&c.log.Logger, zerolog.InfoLevel)
	if c.listeners.files == nil {
		line.Msg("nothing to reload: there are no TLS files, and settings are read at the start alone")
		return
	}
	line.Msg("reloading tls-cert, tls-key and tls-client-ca; other settings are read at the start alone")
	c.listeners.files.Reload()
}

// drainSlack is what the end of a connection may take besides drain-timeout: lingering, and getting its turn.
const drainSlack = 2 * time.Second

// stop takes everything down: the port, then the connections, then the core, on which they depend.
func (c *daemon) stop(signals <-chan os.Signal) error {
	ctx, hurry := context.WithTimeout(context.Background(), c.server.Options().DrainTimeout+drainSlack)
	defer hurry()
	stopped, dead := make(chan struct{}), c.core.done
	// This is waited for, except when the process is to end at once. hurry makes it end soon, too, but a defect that
	// keeps it from ending must not keep the second signal from working.
	go func() {
		defer close(stopped)
		c.server.Shutdown(ctx)
		c.core.stop()
	}()
	for {
		select {
		case <-stopped:
			c.log.Info().Msg("stopped")
			return c.core.outcome()
		case <-dead:
			if err := c.core.outcome(); err != nil {
				return err // nobody answers the connections any more: Shutdown would wait in vain
			}
			dead = nil // the goroutine above has stopped it
		case sig := <-signals:
			if c.handleSignal(sig) {
				continue
			}
			c.log.Warn().Stringer("signal", sig).Msg("second signal: ending at once, undelivered messages are lost")
			return &SignalError{sig}
		}
	}
}
