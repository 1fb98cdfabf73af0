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
	logRoom = 4096                  // lines that the ring holds; it drops more
	logPoll = 20 * time.Millisecond // how often the ring is read

	timeFormat = "2006-01-02T15:04:05.000Z07:00" // RFC 3339 with milliseconds
)

// flushTime is how long close waits for a log that is not read. Tests set it: on a busy machine the log is slow.
var flushTime = 2 * time.Second

func init() {
	zerolog.TimeFieldFormat = timeFormat // a global of the library, which reads it without a lock
}

// logger is the log. Writing never blocks, because the core logs too. Lines go into a ring that one goroutine empties;
// the logger owns that goroutine, and close waits for it.
type logger struct {
	zerolog.Logger
	configured zerolog.Level
	ring       diode.Writer
	sink       *sink
}

// openLog starts a log that writes to out.
func openLog(c *config.Config, out io.Writer) *logger {
	zerolog.SetGlobalLevel(c.LogLevel) // CONFIG SET and SIGUSR1 change the global level
	b := &logger{configured: c.LogLevel, sink: &sink{out: formatted(c.LogFormat, out), flushed: make(chan struct{})}}
	// The ring polls. The library's other way waits for a wake-up that it can miss: the last line before a pause would
	// be written after the pause.
	b.ring = diode.NewWriter(b.sink, logRoom, logPoll, b.sink.countDropped)
	b.Logger = zerolog.New(b.ring).With().Timestamp().Logger()
	return b
}

// formatted puts the console format in front of out, if it is configured. Formatting runs on the goroutine of the ring,
// because it costs more than the rest of a log line.
func formatted(format string, out io.Writer) io.Writer {
	file, isFile := out.(*os.File)
	terminal := isFile && isatty.IsTerminal(file.Fd())
	if format == config.FormatConsole || format == config.FormatAuto && terminal {
		return zerolog.ConsoleWriter{Out: out, TimeFormat: timeFormat, NoColor: !terminal}
	}
	return out
}

// close writes the lines in the ring and ends the goroutine. After flushTime it gives up, so that a blocked out does not
// keep the process alive.
func (b *logger) close() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		<-b.sink.flushed
		_ = b.ring.Close() // waits for the goroutine; it cannot fail
	}()
	// An empty line marks the end. Closing the ring at once could overtake the line before.
	_, _ = b.ring.Write(nil) // never fails
	select {
	case <-closed:
	case <-time.After(flushTime):
	}
}

// dropped is the number of lost lines, for INFO.
func (b *logger) dropped() uint64 { return b.sink.dropped.Load() }

// logAtAnyLevel begins a line of this level that is written even if the log level is higher.
func logAtAnyLevel(log *zerolog.Logger, level zerolog.Level) *zerolog.Event {
	return log.Log().Str(zerolog.LevelFieldName, level.String()) //nolint:zerologlint // the caller sends it
}

// raiseVerbosity lowers the log level by one; after trace it returns to the configured level.
func (b *logger) raiseVerbosity() {
	level := zerolog.GlobalLevel() - 1
	if level < zerolog.TraceLevel {
		level = b.configured
	}
	b.changeLevel(level)
}

// setLevel puts a configured level in force.
func (b *logger) setLevel(level zerolog.Level) {
	b.configured = level
	if level != zerolog.GlobalLevel() {
		b.changeLevel(level)
	}
}

func (b *logger) changeLevel(level zerolog.Level) {
	zerolog.SetGlobalLevel(level)
	logAtAnyLevel(&b.Logger, zerolog.InfoLevel).Stringer("log-level", level).Msg("log level changed")
}

// sink writes the lines to out. Only the goroutine of the ring calls its methods.
type sink struct {
	out      io.Writer
	dropped  atomic.Uint64 // lines lost since the start
	reported uint64        // how many of them are in a line of the log
	flushed  chan struct{} // closed at the mark of close
	once     sync.Once
}

// countDropped counts lines for which the ring had no room. The next line reports them.
func (k *sink) countDropped(lines int) { k.dropped.Add(uint64(lines)) }

// Write writes one line; an empty one is the mark of close. It never fails: a line that out refuses is counted as
// dropped.
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

// reportDropped writes a line with the number of lines that are missing before it.
func (k *sink) reportDropped() {
	total := k.dropped.Load()
	if total == k.reported {
		return
	}
	log := zerolog.New(reporter{k}).With().Timestamp().Logger()
	logAtAnyLevel(&log, zerolog.WarnLevel).Uint64("dropped_lines", total-k.reported).Uint64("dropped_lines_total", total).
		Msg("log lines were dropped: they could not be written fast enough, or not at all")
}

// reporter writes the line about lost lines. If that line is lost too, the next one has the sum.
type reporter struct{ k *sink }

func (r reporter) Write(line []byte) (int, error) {
	total := r.k.dropped.Load()
	if _, err := r.k.out.Write(line); err == nil {
		r.k.reported = total
	}
	return len(line), nil
}
