package daemon

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/harness"
)

func TestVerbosityRisesFromAnyLevel(t *testing.T) {
	var out bytes.Buffer
	log := openLog(&config.Config{LogLevel: zerolog.ErrorLevel, LogFormat: config.FormatJSON}, &out)
	for range 6 {
		log.raiseVerbosity()
	}
	log.close()
	var levels []string
	for line := range strings.Lines(out.String()) {
		fields := harness.Fields(t, line)
		assert.Equal(t, "info", fields["level"], "also where info is not shown")
		level, _ := fields["log-level"].(string)
		levels = append(levels, level)
	}
	assert.Equal(t, []string{"warn", "info", "debug", "trace", "error", "warn"}, levels)
}

// stuck is an out that blocks until letGo is closed.
type stuck struct {
	entered chan struct{} // closed by the first Write
	letGo   chan struct{}
	once    sync.Once
	bytes.Buffer
}

func newStuck() *stuck { return &stuck{entered: make(chan struct{}), letGo: make(chan struct{})} }

func (s *stuck) Write(line []byte) (int, error) {
	s.once.Do(func() { close(s.entered) })
	<-s.letGo
	return s.Buffer.Write(line)
}

func TestALogThatIsNotReadCountsDroppedLines(t *testing.T) {
	out := newStuck()
	log := openLog(&config.Config{LogFormat: config.FormatJSON}, out)
	log.Info().Msg("a line")
	<-out.entered
	const lines = 1 + 2*logRoom + 17
	for range lines - 1 {
		log.Info().Msg("a line") // does not block, though nothing is written
	}
	assert.Zero(t, log.dropped(), "found out when they are missed")
	close(out.letGo)
	log.close()

	written, told := 0, 0.0
	for line := range strings.Lines(out.String()) {
		switch fields := harness.Fields(t, line); fields["message"] {
		case "a line":
			written++
		default:
			assert.Equal(t, "warn", fields["level"])
			told += fields["dropped_lines"].(float64)
			assert.InDelta(t, told, fields["dropped_lines_total"], 0)
		}
	}
	assert.NotZero(t, told)
	assert.Equal(t, lines, written+int(told), "every line is either written or told of")
	assert.Equal(t, uint64(told), log.dropped())
}

// failing is an out whose first writes fail. The goroutine of the log uses it, and the test after that has ended.
type failing struct {
	times int
	bytes.Buffer
}

func (f *failing) Write(line []byte) (int, error) {
	if f.times > 0 {
		f.times--
		return 0, io.ErrClosedPipe
	}
	return f.Buffer.Write(line)
}

func TestALineThatCannotBeWrittenIsDropped(t *testing.T) {
	out := &failing{times: 2}
	log := openLog(&config.Config{LogFormat: config.FormatJSON}, out)
	log.Info().Msg("lost") // by the first failure; the second one hits the line that reports it
	log.Info().Msg("written")
	log.Info().Msg("written too")
	log.close()
	var seen []any
	for line := range strings.Lines(out.String()) {
		fields := harness.Fields(t, line)
		seen = append(seen, fields["message"])
		if n, ok := fields["dropped_lines"]; ok {
			assert.InDelta(t, 1, n, 0)
		}
	}
	require.Len(t, seen, 3)
	assert.Equal(t, "written", seen[0])
	assert.Equal(t, "written too", seen[2], "after the line that tells of the lost one")
	assert.Equal(t, uint64(1), log.dropped())
}

func TestCloseDoesNotWaitForALogThatIsNotRead(t *testing.T) {
	out := newStuck()
	log := openLog(&config.Config{LogFormat: config.FormatJSON}, out)
	log.Info().Msg("a line")
	<-out.entered
	defer func(patience time.Duration) { flushTime = patience }(flushTime)
	flushTime = time.Millisecond
	log.close()
	assert.Empty(t, out.String())
	close(out.letGo) // a process would be gone; here the goroutines must end, which TestMain checks
}
