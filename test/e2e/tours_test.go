//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

var (
	fenced   = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	tourLine = regexp.MustCompile(`^(one|two|three)\s*([><$]) (.*)$`)
	epoch    = regexp.MustCompile(`\b[0-9a-f]{16}\b`) // another one at each start
	entryID  = regexp.MustCompile(`\b1[6-9]\d{11}-\d+\b`)
)

// blocks returns the fenced blocks of a page in one language; blocks of the tours have none.
func blocks(t *testing.T, page, language string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", page))
	require.NoError(t, err)
	for _, m := range fenced.FindAllSubmatch(text, -1) {
		if string(m[1]) == language {
			all = append(all, string(m[2]))
		}
	}
	return all
}

// The documentation's tours are real: each block that begins with terminal one is played with a server of its own.
func TestTours(t *testing.T) {
	for page, tours := range map[string]int{"README.md": 2, "docs/command-line.md": 2, "docs/predicates.md": 1, "docs/sequence.md": 1, "docs/commands.md": 2, "docs/streams.md": 3, "docs/groups.md": 1, "docs/durable-topics.md": 1} {
		played := 0
		for _, block := range blocks(t, page, "") {
			if !strings.HasPrefix(block, "one ") {
				continue
			}
			played++
			t.Run(page, func(t *testing.T) {
				c := start(t, "")
				tour{c, map[string]*terminal{}}.play(tourIn(t, block))
				c.stop()
			})
		}
		assert.Equal(t, tours, played, page)
	}
}

// tourStep is a line of a tour: a terminal and what is typed there (>, or $ for a command), or what comes back (<).
type tourStep struct{ terminal, sort, text string }

func tourIn(t *testing.T, block string) (all []tourStep) {
	t.Helper()
	for line := range strings.Lines(block) {
		if line = strings.TrimRight(line, "\n"); line == "" {
			continue
		}
		m := tourLine.FindStringSubmatch(line)
		require.NotNil(t, m, "not a line of a tour: %q", line)
		all = append(all, tourStep{m[1], m[2], m[3]})
	}
	return all
}

// terminal is a terminal of a tour with the program that runs in it.
type terminal struct {
	*program
	command string
	ends    bool // all of its output is on the page, up to the end of the program
}

type tour struct {
	*conch
	terminals map[string]*terminal
}

func (p tour) play(steps []tourStep) {
	for i := 0; i < len(steps); i++ {
		switch s := steps[i]; {
		case s.sort == "$":
			p.command(s)
		case s.sort == ">" && isTable(s.text):
			var table []string
			for i+1 < len(steps) && steps[i+1].terminal == s.terminal && steps[i+1].sort == "<" {
				i++
				table = append(table, steps[i].text)
			}
			p.table(s, table)
		case s.sort == ">":
			p.terminals[s.terminal].enter(s.text)
			p.terminals[s.terminal].ends = s.text == "QUIT"
		default:
			assert.Equal(p.t, mask(s.text), mask(p.line(s.terminal)))
		}
	}
	for name, x := range p.terminals {
		switch {
		case x.ends:
			assert.Empty(p.t, x.rest(), "terminal %s got more than the page shows", name)
		case strings.HasPrefix(x.command, "telnet "):
			x.enter("PING")
			assert.Equal(p.t, "+PONG", x.line(), "terminal %s got more than the page shows", name)
		}
	}
}

// mask hides what differs from run to run.
func mask(line string) string {
	return entryID.ReplaceAllString(epoch.ReplaceAllString(line, "EPOCH"), "ID")
}

func isTable(typed string) bool {
	return strings.HasPrefix(typed, "TOPICS") || strings.HasPrefix(typed, "WHO") || strings.HasPrefix(typed, "WHY")
}

// line is the next line in a terminal, but for the remark that versions of redis-cli word differently.
func (p tour) line(name string) string {
	p.t.Helper()
	line := p.terminals[name].line()
	if strings.HasPrefix(line, "Reading messages...") {
		return p.terminals[name].line()
	}
	return line
}

// command starts a program of the tour, with redis-cli's answers worded as on a terminal. The one before must be done.
func (p tour) command(s tourStep) {
	p.t.Helper()
	if before := p.terminals[s.terminal]; before != nil {
		require.Empty(p.t, before.rest(), "terminal %s got more than the page shows", s.terminal)
	}
	typed := strings.NewReplacer("localhost 8889", p.host+" "+p.port, "127.0.0.1 8889", p.host+" "+p.port,
		"redis-cli -p 8889", "redis-cli --no-raw -h "+p.host+" -p "+p.port).Replace(s.text)
	listens := strings.Contains(strings.ToLower(s.text), "sub") || strings.Contains(s.text, " BLOCK ")
	before := p.listening()
	x := &terminal{p.shell(typed), s.text, !listens && !strings.HasPrefix(s.text, "telnet ")}
	p.terminals[s.terminal] = x
	switch {
	case strings.HasPrefix(s.text, "telnet "):
		x.until("Escape character is")
	case strings.HasPrefix(s.text, "conch sub "), strings.Contains(s.text, " BLOCK "):
		harness.Eventually(p.t, func() bool { return p.listening() != before }, "it listens")
	}
}

// listening is what INFO counts of connections with a subscription, and of those that wait for an entry.
func (p tour) listening() string {
	return strings.Join(regexp.MustCompile(`(pubsub|blocked)_clients:\d+`).FindAllString(p.cli("INFO", "clients"), -1), " ")
}

// table repeats a command until its table is the one shown: a delivery is counted a moment after the message arrives.
func (p tour) table(typed tourStep, shown []string) {
	p.t.Helper()
	x, end := p.terminals[typed.terminal], time.Now().Add(patience)
	for {
		x.enter(typed.text)
		x.enter("PING")
		var got []string
		for line := x.line(); line != "+PONG"; line = x.line() {
			got = append(got, line)
		}
		if slices.EqualFunc(shown, got, func(a, b string) bool { return maskRow(a) == maskRow(b) }) {
			return
		}
		if time.Now().After(end) {
			assert.Equal(p.t, shown, got)
			return
		}
	}
}

// maskRow hides the width of columns, and the numbers, addresses and ages of connections and messages.
func maskRow(row string) string {
	row = address.ReplaceAllString(strings.Join(strings.Fields(row), " "), "ADDRESS")
	return age.ReplaceAllString(client.ReplaceAllString(row, "${1}ID"), "AGE")
}

var (
	address = regexp.MustCompile(`\b[0-9.]+:\d+\b`)
	client  = regexp.MustCompile(`(^# |\bclient )\d+\b`)
	age     = regexp.MustCompile(`\b\d+s\b`)
)
