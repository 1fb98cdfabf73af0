package daemon

import (
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
	"github.com/rs/zerolog/diode"

	"github.com/conchmq/conch/internal/config"
)

const (
	logRoom = 4096                  // lines that may wait to be written; what comes on top of that is dropped
	logPoll = 20 * time.Millisecond // how often they are looked for
	// flushTime is how long the end of the process may wait for a log that nobody reads.
	flushTime = 2 * time.Second

	timeFormat = "2006-01-02T15:04:05.000Z07:00" // RFC 3339 with milliseconds
)

func init() {
	zerolog.TimeFieldFormat = timeFormat // the library has this for the whole process, and reads it without a lock
}

// logger is the log. Writing to it never waits: the core logs too, and for the core everybody waits. Lines wait in a
// ring that one goroutine empties; the logger owns it, and close waits for it.
type logger struct {
	zerolog.Logger
	configured zerolog.Level
	ring       diode.Writer
	sink       *sink
}

// openLog starts a log that writes to out.
func openLog(c *config.Config, out io.Writer) *logger {
	zerolog.SetGlobalLevel(c.LogLevel) // CONFIG SET and SIGUSR1 change it there
	b := &logger{configured: c.LogLevel, sink: &sink{out: formatted(c.LogFormat, out), flushed: make(chan struct{})}}
	// The ring polls: the way that waits for a wake-up can miss it, and then the last line before a quiet time is not
	// written until the quiet is over.
	b.ring = diode.NewWriter(b.sink, logRoom, logPoll, b.sink.countDropped)
	b.Logger = zerolog.New(b.ring).With().Timestamp().Logger()
	return b
}

// formatted puts the console format between the log and out, if that is wanted. It is done behind the ring, on its
// goroutine, because it costs more than all the rest.
func formatted(format string, out io.Writer) io.Writer {
	file, isFile := out.(*os.File)
	terminal := isFile && isatty.IsTerminal(file.Fd())
	if format == config.FormatConsole || format == config.FormatAuto && terminal {
		return zerolog.ConsoleWriter{Out: out, TimeFormat: timeFormat, NoColor: !terminal}
	}
	return out
}

// close writes out what waits and ends the goroutine. If out takes nothing, it gives up: a process that cannot end
// because nobody reads its log would be worse.
func (b *logger) close() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		<-b.sink.flushed
		_ = b.ring.Close() // waits for its goroutine; there is nothing that could fail
	}()
	// An empty line marks the end. Closing the ring straight away could overtake the line before.
	_, _ = b.ring.Write(nil) // the ring takes everything
	select {
	case <-closed:
	case <-time.After(flushTime):
	}
}

// dropped is how many lines were lost, for INFO.
func (b *logger) dropped() uint64 { return b.sink.dropped.Load() }

// logAtAnyLevel begins a line that is written at any level, but says which level it is of.
func logAtAnyLevel(log *zerolog.Logger, level zerolog.Level) *zerolog.Event {
	return log.Log().Str(zerolog.LevelFieldName, level.String()) //nolint:zerologlint // the caller sends it
}

// raiseVerbosity makes the log one level more talkative; after trace, what was configured.
func (b *logger) raiseVerbosity() {
	level := zerolog.GlobalLevel() - 1
	if level < zerolog.TraceLevel {
		level = b.configured
	}
	zerolog.SetGlobalLevel(level)
	logAtAnyLevel(&b.Logger, zerolog.InfoLevel).Stringer("log-level", level).Msg("log level changed")
}

// sink is what the ring's goroutine writes to. Only that goroutine calls it.
type sink struct {
	out      io.Writer
	dropped  atomic.Uint64 // lines lost since the start
	reported uint64        // how many of them the log itself has told of
	flushed  chan struct{} // closed when the mark came by
	once     sync.Once
}

// countDropped counts lines that the ring had no room for. The line that comes next tells of them.
func (k *sink) countDropped(lines int) { k.dropped.Add(uint64(lines)) }

// Write writes one line; an empty one is the mark of close. It never fails: a line that could not be written is
// counted as dropped, and the ring could do nothing else about it.
func (k *sink) Write(line []byte) (int, error) {
	if len(line) == 0 {
		k.reportDropped()
		k.once.Do(func() { close(k.flushed) })
		return 0, nil
	}
	k.reportDropped()
	if _, err := k.out.Write(line); err != nil {
		k.dropped.Add(1)
	}
	return len(line), nil
}

// reportDropped writes how many lines are missing at this place.
func (k *sink) reportDropped() {
	total := k.dropped.Load()
	if total == k.reported {
		return
	}
	log := zerolog.New(reporter{k}).With().Timestamp().Logger()
	logAtAnyLevel(&log, zerolog.WarnLevel).Uint64("dropped", total-k.reported).Uint64("dropped-total", total).
		Msg("log lines were dropped: they could not be written fast enough, or not at all")
}

// reporter writes the line that tells of lost ones. If it is lost as well, the next one tells of all of them.
type reporter struct{ k *sink }

func (r reporter) Write(line []byte) (int, error) {
	total := r.k.dropped.Load()
	if _, err := r.k.out.Write(line); err == nil {
		r.k.reported = total
	}
	return len(line), nil
}
