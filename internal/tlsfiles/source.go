package tlsfiles

import (
	"crypto/tls"
	"errors"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
)

// debounce is the delay from the first change to the reload, because the files change one after the other.
const debounce = 200 * time.Millisecond

// A certificate that ends within warnBefore is a warning when it is loaded, and again every warnEvery.
const (
	warnBefore = 30 * 24 * time.Hour
	warnEvery  = 24 * time.Hour
)

// Source is the configuration of a listener from its files. Follow starts a goroutine that reloads them; Close waits for
// it. Other goroutines read current only.
type Source struct {
	files   Files
	current atomic.Pointer[loaded]
	config  *tls.Config // permanent, so that its session tickets survive reloads
	reloads chan struct{}
	closing chan struct{}
	closed  chan struct{}

	// Owned by the goroutine of Follow.
	log       zerolog.Logger
	watcher   *fsnotify.Watcher // nil if watching failed
	watched   map[string]bool   // folders
	lastError string            // error of the last reload, already logged; empty without one
}

// Open loads the files. The error is one line.
func Open(f Files) (*Source, error) {
	first, err := f.load()
	if err != nil {
		return nil, err
	}
	s := &Source{
		files: f, reloads: make(chan struct{}, 1), closing: make(chan struct{}), closed: make(chan struct{}),
		watched: make(map[string]bool),
	}
	s.current.Store(first)
	s.config = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.current.Load().config, nil },
	}
	return s, nil
}

// Follow logs the loaded certificate and reloads the files on changes until Close.
func (s *Source) Follow(log zerolog.Logger) {
	s.log = log
	first := s.current.Load()
	s.log.Info().EmbedObject(first).Msg("the TLS certificate is loaded")
	first.warn(&s.log, time.Now())
	var err error
	if s.watcher, err = fsnotify.NewWatcher(); err != nil {
		s.warnUnwatched(err)
	} else {
		s.watch()
	}
	go s.follow()
}

// Config returns the configuration for the listener. Each handshake uses the files loaded last.
func (s *Source) Config() *tls.Config { return s.config }

// Mutual returns the configuration loaded last, for both directions between equals: each verifies the other by the authority of the files.
func (s *Source) Mutual() *tls.Config {
	c := s.current.Load().config.Clone()
	c.RootCAs, c.MinVersion = c.ClientCAs, tls.VersionTLS13
	return c
}

// Reload requests a reload and returns at once.
func (s *Source) Reload() {
	select {
	case s.reloads <- struct{}{}:
	default: // already requested
	}
}

// Close stops the goroutine of Follow. Config stays valid.
func (s *Source) Close() {
	close(s.closing)
	<-s.closed
}

// follow reloads on requests and changes until Close.
func (s *Source) follow() {
	defer close(s.closed)
	var events <-chan fsnotify.Event
	var troubles <-chan error
	if s.watcher != nil {
		defer func() { _ = s.watcher.Close() }() // nothing to flush
		events, troubles = s.watcher.Events, s.watcher.Errors
	}
	var due <-chan time.Time
	daily := time.NewTicker(warnEvery)
	defer daily.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-s.reloads:
			s.reload(true)
		case <-events:
			if due == nil { // further events must not delay it: the folder may be a busy one
				due = time.After(debounce)
			}
		case err := <-troubles:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				s.warnUnwatched(err)
			}
			due = time.After(debounce) // events were lost
		case <-due:
			due = nil
			s.reload(false)
		case <-daily.C:
			s.current.Load().warn(&s.log, time.Now())
		}
	}
}

// reload loads the files again. It logs unchanged contents only on request, because every event in their folders causes a
// reload.
func (s *Source) reload(requested bool) {
	if s.watcher != nil {
		s.watch() // a link may have a new target
	}
	next, err := s.files.load()
	if err != nil {
		if requested || err.Error() != s.lastError {
			s.log.Error().Err(err).Msg("the TLS files cannot be used; what was loaded before stays in force")
		}
		s.lastError = err.Error()
		return
	}
	same := next.digest == s.current.Load().digest
	if same && s.lastError == "" && !requested {
		return
	}
	s.lastError = ""
	s.current.Store(next)
	if same {
		s.log.Info().EmbedObject(next).Msg("the TLS files are as they were")
	} else {
		s.log.Info().EmbedObject(next).Msg("the TLS files are loaded anew: new connections get them")
	}
	next.warn(&s.log, time.Now())
}
