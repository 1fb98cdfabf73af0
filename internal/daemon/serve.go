package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/local"
	"github.com/conchmq/conch/internal/node"
	"github.com/conchmq/conch/internal/store"
	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// daemon is the running broker. Its parts stop in the order sources, sinks, listeners, server, core, store, log.
type daemon struct {
	log               *logger
	core              *coreRunner
	store             *store.Store
	server            *server.Server
	web               *web.Server
	listeners         *listeners
	connectors        *connect.Set
	node              *node.Node    // nil for a broker alone
	settings          config.Config // as they were read, for a comparison at a reload
	shutdownRequested chan struct{} // SHUTDOWN came; the core sends without waiting, so it has room for one
}

// Serve runs the broker until a signal or SHUTDOWN ends it.
func Serve(c *config.Config, stderr io.Writer, signals <-chan os.Signal) error {
	log := openLog(c, stderr)
	defer log.close()
	for {
		own := *c // a start fills in defaults
		if err := serve(&own, log, signals); !errors.Is(err, errStartAgain) {
			return err
		}
	}
}

// serve is one start. It returns errStartAgain if another one is to follow, with the state of another node.
func serve(c *config.Config, log *logger, signals <-chan os.Signal) error {
	d, err := build(c, log)
	if err != nil {
		return err
	}
	d.announce(c)
	reportStore(c.Store.Dir, d.store, log.Logger)
	if c.Cluster.Name == "" && c.Store.Dir != "" && node.IsOf(c.Store.Dir) {
		log.Warn().Str("dir", c.Store.Dir).Msg("the directory is of a node of a cluster, and conch runs alone: what changes here keeps the node out of its cluster")
	}
	var tasks sync.WaitGroup
	stop := make(chan struct{})
	defer func() { close(stop); tasks.Wait() }()
	tasks.Go(func() { scaleProcs(stop) })
	tasks.Go(func() { releaseMemory(stop) })
	defer d.listeners.follow(log.Logger)()
	if err := d.join(); err != nil {
		d.listeners.close()
		return errors.Join(err, d.stop(signals))
	}
	d.applyConnectors(c) // seen from the first request on
	d.listeners.serve(d.server, d.web)
	d.connectors.Start() // behind the listeners: subscribers come back before the first message of a source
	return d.wait(signals)
}

// build makes all parts. Listeners come first: they fail most often, and then there is nothing to undo.
func build(c *config.Config, log *logger) (*daemon, error) {
	listeners, err := openListeners(c)
	if err != nil {
		return nil, err
	}
	settings := *c
	c.Server.Collect = collect
	c.Server.Log = log.Logger
	c.Server.LogDropped = log.dropped
	shutdownRequested := make(chan struct{}, 1)
	c.Server.Stop = func() {
		select {
		case shutdownRequested <- struct{}{}:
		default: // requested already
		}
	}
	for _, s := range config.Settings() {
		c.Server.Settings = append(c.Server.Settings, server.Setting{Name: s.Name, Value: fmt.Sprint(s.Get(c))})
	}
	shared, err := prepareCluster(c)
	var kept *store.Store
	if err == nil {
		kept, err = openStore(c, log.Logger)
	}
	if err != nil {
		listeners.close()
		return nil, err
	}
	joined, err := newNode(c, listeners.nodeFiles, kept, shared, log.Logger)
	if err != nil {
		listeners.close()
		_ = kept.Close(0) // nothing was appended
		return nil, err
	}
	b := broker.New(broker.Options{Sequence: kept.Sequence()})
	srv, err := server.New(b, c.Server)
	if err != nil {
		listeners.close()
		_ = kept.Close(0) // nothing was appended
		return nil, optionsError(err)
	}
	c.Server = srv.Options() // with defaults filled in: the log shows the options in force
	kept.Start(srv.Service())
	connectors := connect.NewSet(local.New(srv.Service()), c.Compiler, log.Logger)
	if joined == nil {
		srv.Service().SetConnectors(connectors)
	} else {
		srv.Service().SetConnectors(joined.Share(connectors))
	}
	return &daemon{
		log: log, core: startCore(log.Logger, b.Run), store: kept, server: srv, web: web.New(srv.Service(), web.Options{Origins: c.HTTPOrigins, Debug: c.Debug}),
		listeners: listeners, connectors: connectors, node: joined, settings: settings, shutdownRequested: shutdownRequested,
	}, nil
}

// announce writes the first lines of the log: what runs, which clients are served, and what to type.
func (d *daemon) announce(c *config.Config) {
	line := d.log.Info().Str("version", c.Server.Version).Func(d.listeners.describe)
	if c.File != "" {
		line = line.Str("config", c.File)
	}
	line.Msg("listening")
	switch {
	case d.server.IsProtected():
		d.log.Info().Msg("clients of this machine alone are served: protected-mode is on, and the default user has no password")
	case c.Server.Unprotected && d.server.IsOpen():
		d.log.Warn().Msg("clients of all machines are served, without a password: protected-mode is off")
	default:
		d.log.Info().Msg("clients of all machines are served, after they authenticate")
	}
	if url, ok := d.listeners.flagURL(); ok {
		d.log.Info().Str("subscribe", "conch sub "+url+"news").Str("publish", "conch pub "+url+"news hello").Msg("to try it, type these in two terminals")
	}
	line = d.log.Debug()
	for _, setting := range config.Settings() {
		line = line.Interface(setting.Name, setting.Get(c))
	}
	line.Msg("settings")
	for _, name := range c.Unknown {
		d.log.Warn().Str("variable", name).Msg("unknown environment variable: it has no effect")
	}
	limit, known := descriptorLimit()
	warnDescriptors(d.log.Logger, limit, known, c.Server.MaxConnections)
}

// spareDescriptors are for everything but served connections: listeners, log, poller, refusals.
const spareDescriptors = 32

// warnDescriptors warns of a descriptor limit below max-connections. At that limit accepting stops, and clients wait
// without an error.
func warnDescriptors(log zerolog.Logger, limit uint64, known bool, connections int) {
	if need := uint64(connections) + spareDescriptors; known && limit < need {
		log.Warn().Uint64("descriptor_limit", limit).Uint64("descriptors_needed", need).Int("max-connections", connections).
			Msg("the limit of open descriptors is too low for max-connections: raise it (ulimit -n) or lower max-connections")
	}
}

// wait returns when the daemon has stopped, or the core has panicked.
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
			logAtAnyLevel(&d.log.Logger, zerolog.InfoLevel).Msg("stopping: SHUTDOWN was sent; connections drain first")
			return d.stop(signals)
		case <-d.core.done:
			return d.core.outcome()
		case <-d.received():
			return cmp.Or(d.stop(signals), errStartAgain)
		case err := <-d.nodeFailed():
			d.log.Error().Err(err).Msg("this node cannot go on")
			return errors.Join(err, d.stop(signals))
		}
	}
}

// handleSignal handles a signal that does not stop conch; it reports whether this is one.
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

// stopCore stops what depends on the core, the core, and the store, whose last record has the end of the sequence.
func (d *daemon) stopCore() {
	last, ok := d.server.Service().Snapshot()
	d.store.Stop()
	d.core.stop()
	if !ok || d.core.panicked {
		return // the state cannot be trusted: the next start goes by what was logged
	}
	if err := d.store.Close(last.Sequence); err != nil {
		d.log.Error().Err(err).Msg("the log could not be closed: what was not synced may be lost")
	}
}

// reportUndrained logs why a stop has taken the whole drain-timeout.
func (d *daemon) reportUndrained() {
	counts := &d.server.Service().Counts
	if n := counts.Undrained.Load(); n > 0 {
		d.log.Warn().Int64("connections", n).Int64("bytes_lost", counts.UndrainedBytes.Load()).Dur("drain-timeout", d.server.Options().DrainTimeout).
			Msg("these connections have not read what waited for them within drain-timeout: it is lost")
	}
}

// drainSlack is added to drain-timeout for lingering and scheduling.
const drainSlack = 2 * time.Second

// stop stops listeners, then connections, then the core, on which connections depend.
func (d *daemon) stop(signals <-chan os.Signal) error {
	stopped, dead := make(chan struct{}), d.core.done
	// stop waits for this goroutine, except after a second signal: a defect that blocks it must not block that signal.
	go func() {
		defer close(stopped)
		d.stopConnectors()
		d.transferLeadership()
		ctx, cancel := context.WithTimeout(context.Background(), d.server.Options().DrainTimeout+drainSlack)
		defer cancel()
		var overHTTP sync.WaitGroup
		overHTTP.Go(func() { d.web.Shutdown(ctx) }) // at the same time: each waits for connections that the other may hold
		d.server.Shutdown(ctx)
		overHTTP.Wait()
		d.leaveCluster()
		d.stopCore()
	}()
	for {
		select {
		case <-stopped:
			d.reportUndrained()
			d.log.Info().Msg("stopped")
			return d.core.outcome()
		case <-dead:
			if err := d.core.outcome(); err != nil {
				return err // connections wait for the core for ever: Shutdown would not return
			}
			dead = nil // stopped by the goroutine above
		case sig := <-signals:
			if d.handleSignal(sig) {
				continue
			}
			d.log.Warn().Stringer("signal", sig).Msg("second signal: ending at once, undelivered messages are lost")
			return &SignalError{sig}
		}
	}
}
