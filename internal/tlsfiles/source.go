package tlsfiles

import (
	"crypto/tls"
	"errors"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
)

// debounce is how long after a first change the files are read: the other ones change with it, a moment later.
const debounce = 200 * time.Millisecond

// Source is the configuration of a listener, as its files have it. From Follow on one goroutine reads them again and is
// waited for by Close; all others look at what it found last.
type Source struct {
	files   Files
	current atomic.Pointer[loaded]
	config  *tls.Config // its session tickets outlive the certificates
	reloads chan struct{}
	closing chan struct{}
	closed  chan struct{}

	// The goroutine's.
	log       zerolog.Logger
	watcher   *fsnotify.Watcher // nil where files cannot be watched
	watched   map[string]bool   // folders
	lastError string            // what is wrong with the files, as the log has it already; empty if nothing is
}

// Open reads the files. The error is one line.
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

// Follow tells in the log what was loaded, and follows the files until Close.
func (s *Source) Follow(log zerolog.Logger) {
	s.log = log
	s.current.Load().logLoaded(&s.log, time.Now(), "the TLS certificate is loaded")
	var err error
	if s.watcher, err = fsnotify.NewWatcher(); err != nil {
		s.warnUnwatched(err)
	} else {
		s.watch()
	}
	go s.follow()
}

// Config is for the listener. Each handshake takes what is in force at its moment.
func (s *Source) Config() *tls.Config { return s.config }

// Reload has the files read again, soon. It does not wait for that.
func (s *Source) Reload() {
	select {
	case s.reloads <- struct{}{}:
	default: // it is about to be done
	}
}

// Close ends what Follow began. What is in force stays.
func (s *Source) Close() {
	close(s.closing)
	<-s.closed
}

// follow is the goroutine.
func (s *Source) follow() {
	defer close(s.closed)
	var events <-chan fsnotify.Event
	var troubles <-chan error
	if s.watcher != nil {
		defer func() { _ = s.watcher.Close() }() // it has nothing to lose
		events, troubles = s.watcher.Events, s.watcher.Errors
	}
	var settled <-chan time.Time
	for {
		select {
		case <-s.closing:
			return
		case <-s.reloads:
			s.reload(true)
		case <-events:
			if settled == nil { // not put off by further events: a folder may be a busy one
				settled = time.After(debounce)
			}
		case err := <-troubles:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				s.warnUnwatched(err)
			}
			settled = time.After(debounce) // events are lost
		case <-settled:
			settled = nil
			s.reload(false)
		}
	}
}

// reload reads the files again. Unless somebody has asked, it is silent about what has not changed: anything that
// happens in their folders ends up here.
func (s *Source) reload(requested bool) {
	if s.watcher != nil {
		s.watch() // a link may lead elsewhere now
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
	text := "the TLS files are loaded anew: new connections get them"
	if same {
		text = "the TLS files are as they were"
	}
	s.current.Store(next)
	next.logLoaded(&s.log, time.Now(), text)
}
