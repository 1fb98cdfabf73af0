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
func Serve(c *config.Config, stderr io.Writer, signals <-chan os.Signal) error {
	log := openLog(c, stderr)
	defer log.close()
	d, err := build(c, log)
	if err != nil {
		return err
	}
	d.announce(c)
	stop, followed := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-followed }()
	go func() { defer close(followed); scaleProcs(stop) }()
	defer d.listeners.follow(log.Logger)()
	d.listeners.serve(d.server)
	return d.wait(signals)
}

// build makes all parts. The ports come first: they are what fails in practice, and nothing is to be undone then.
func build(c *config.Config, log *logger) (*daemon, error) {
	listeners, err := openListeners(c)
	if err != nil {
		return nil, err
	}
	c.Server.Collect = collect
	c.Server.Log = log.Logger
	c.Server.LogDropped = log.dropped
	shutdownRequested := make(chan struct{}, 1)
	c.Server.Stop = func() {
		select {
		case shutdownRequested <- struct{}{}:
		default: // it is known already
		}
	}
	b := broker.New(broker.Options{})
	srv, err := server.New(b, c.Server)
	if err != nil {
		listeners.close()
		if errors.Is(err, server.ErrACLFile) {
			return nil, err
		}
		return nil, &OptionsError{err}
	}
	c.Server = srv.Options() // with what the server made of them: the log shows what is in force
	return &daemon{log: log, core: startCore(log.Logger, b.Run), server: srv, listeners: listeners, shutdownRequested: shutdownRequested}, nil
}

// announce writes the first line of the log: what runs where, with which settings in force.
func (d *daemon) announce(c *config.Config) {
	line := d.log.Info().Str("version", c.Server.Version).Func(d.listeners.describe)
	if c.File != "" {
		line = line.Str("config", c.File)
	}
	for _, setting := range config.Settings() {
		line = line.Interface(setting.Name, setting.Get(c))
	}
	line.Msg("listening")

	limit, known := descriptorLimit()
	warnDescriptors(d.log.Logger, limit, known, c.Server.MaxConnections)
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
func (d *daemon) wait(signals <-chan os.Signal) error {
	for {
		select {
		case sig := <-signals:
			if d.handleSignal(sig) {
				continue
			}
			logAtAnyLevel(&d.log.Logger, zerolog.InfoLevel).Stringer("signal", sig).Msg("stopping: connections drain first")
			return d.stop(signals)
		case <-d.shutdownRequested:
			logAtAnyLevel(&d.log.Logger, zerolog.InfoLevel).Msg("stopping: a peer said SHUTDOWN; connections drain first")
			return d.stop(signals)
		case <-d.core.done:
			return d.core.outcome()
		}
	}
}

// handleSignal does what a signal asks for, if that is not to end.
func (d *daemon) handleSignal(sig os.Signal) bool {
	switch sig {
	case VerbositySignal:
		d.log.raiseVerbosity()
	case reloadSignal:
		d.reload()
	default:
		return false
	}
	return true
}

// reload reads again what can change while conch runs. What comes of it is said by who reads it.
func (d *daemon) reload() {
	line := logAtAnyLevel(&d.log.Logger, zerolog.InfoLevel)
	if d.listeners.files == nil {
		line.Msg("nothing to reload: there are no TLS files, and settings are read at the start alone")
		return
	}
	line.Msg("reloading tls-cert, tls-key and tls-client-ca; other settings are read at the start alone")
	d.listeners.files.Reload()
}

// drainSlack is what the end of a connection may take besides drain-timeout: lingering, and getting its turn.
const drainSlack = 2 * time.Second

// stop takes everything down: the port, then the connections, then the core, on which they depend.
func (d *daemon) stop(signals <-chan os.Signal) error {
	ctx, hurry := context.WithTimeout(context.Background(), d.server.Options().DrainTimeout+drainSlack)
	defer hurry()
	stopped, dead := make(chan struct{}), d.core.done
	// This is waited for, except when the process is to end at once. hurry makes it end soon, too, but a defect that
	// keeps it from ending must not keep the second signal from working.
	go func() {
		defer close(stopped)
		d.server.Shutdown(ctx)
		d.core.stop()
	}()
	for {
		select {
		case <-stopped:
			d.log.Info().Msg("stopped")
			return d.core.outcome()
		case <-dead:
			if err := d.core.outcome(); err != nil {
				return err // nobody answers the connections any more: Shutdown would wait in vain
			}
			dead = nil // the goroutine above has stopped it
		case sig := <-signals:
			if d.handleSignal(sig) {
				continue
			}
			d.log.Warn().Stringer("signal", sig).Msg("second signal: ending at once, undelivered messages are lost")
			return &SignalError{sig}
		}
	}
}
