package harness

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Log is where a conch under test writes its log. A test can wait for a line.
type Log struct {
	mu    sync.Mutex
	more  sync.Cond
	lines []string
	ended bool
}

// NewLog makes an empty one.
func NewLog() *Log {
	l := &Log{}
	l.more.L = &l.mu
	return l
}

// Write takes one line.
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(line))
	l.more.Broadcast()
	return len(line), nil
}

// End marks the end of the log: Await fails instead of waiting.
func (l *Log) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.more.Broadcast()
}

// Text is all that was written so far.
func (l *Log) Text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "")
}

// Await returns the n-th line, counted from 1, with this message. It waits for the line, or for the end of the log.
func (l *Log) Await(t testing.TB, message string, n int) map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for seen, found := 0, 0; ; seen++ {
		for seen == len(l.lines) && !l.ended {
			l.more.Wait()
		}
		require.Less(t, seen, len(l.lines), "no line %q in:\n%s", message, strings.Join(l.lines, ""))
		if fields := Fields(t, l.lines[seen]); fields["message"] == message {
			if found++; found == n {
				return fields
			}
		}
	}
}

// Fields are those of one line of a log in JSON.
func Fields(t testing.TB, line string) map[string]any {
	t.Helper()
	fields := make(map[string]any)
	require.NoError(t, json.Unmarshal([]byte(line), &fields), "%q", line)
	return fields
}
