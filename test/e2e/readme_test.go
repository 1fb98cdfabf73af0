//go:build e2e

package e2e

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	heading  = regexp.MustCompile(`(?m)^## (.*)$`)
	block    = regexp.MustCompile("(?ms)^```\n(one .*?)^```$")
	tourLine = regexp.MustCompile(`^(one|two|three)\s*([><$]) (.*)$`)
	epoch    = regexp.MustCompile(`\b[0-9a-f]{16}\b`) // another one at each start
)

// The README's tours are real: what they show is what happens. One and two are telnets, three is a shell.
func TestToursOfTheREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	var played []string
	for _, at := range block.FindAllSubmatchIndex(readme, -1) {
		headings := heading.FindAllSubmatch(readme[:at[0]], -1)
		name := string(headings[len(headings)-1][1])
		played = append(played, name)
		t.Run(name, func(t *testing.T) {
			c := start(t, "")
			p := tour{c, map[string]*program{"one": c.telnet(), "two": c.telnet()}}
			p.play(spokenIn(t, string(readme[at[2]:at[3]])))
			c.stop()
		})
	}
	assert.Equal(t, []string{"The first minute", "The second minute"}, played)
}

// spoken is a line of a tour: who typed (>, or $ in a shell) or got (<) what.
type spoken struct{ who, sort, text string }

func spokenIn(t *testing.T, block string) (all []spoken) {
	t.Helper()
	for line := range strings.Lines(block) {
		if line = strings.TrimRight(line, "\n"); line == "" {
			continue
		}
		m := tourLine.FindStringSubmatch(line)
		require.NotNil(t, m, "not a line of a tour: %q", line)
		all = append(all, spoken{m[1], m[2], m[3]})
	}
	return all
}

type tour struct {
	*conch
	people map[string]*program
}

func (p *tour) play(lines []spoken) {
	for i := 0; i < len(lines); i++ {
		switch s := lines[i]; {
		case s.sort == "$":
			p.shell(s)
		case s.sort == ">" && strings.HasPrefix(s.text, "TOPICS"):
			var table []string
			for i+1 < len(lines) && lines[i+1].who == s.who && lines[i+1].sort == "<" {
				i++
				table = append(table, lines[i].text)
			}
			p.table(s, table)
		case s.sort == ">":
			p.people[s.who].enter(s.text)
		default:
			assert.Equal(p.t, epoch.ReplaceAllString(s.text, "EPOCH"), epoch.ReplaceAllString(p.line(s.who), "EPOCH"))
		}
	}
	for _, who := range []string{"one", "two"} {
		p.people[who].enter("PING")
		assert.Equal(p.t, "+PONG", p.people[who].line(), "%s got more than the README shows", who)
	}
}

// line is what somebody gets, but for the remark that versions of redis-cli word differently.
func (p *tour) line(who string) string {
	p.t.Helper()
	line := p.people[who].line()
	if strings.HasPrefix(line, "Reading messages...") {
		return p.people[who].line()
	}
	return line
}

// shell starts a redis-cli of the tour, with its answers worded as on a terminal. The one before must be done.
func (p *tour) shell(s spoken) {
	p.t.Helper()
	if before := p.people[s.who]; before != nil {
		require.Empty(p.t, before.rest(), "%s got more than the README shows", s.who)
	}
	arguments, ours := strings.CutPrefix(s.text, "redis-cli -p 8889 ")
	require.True(p.t, ours, "%q is not for this server", s.text)
	p.people[s.who] = p.run("sh", "-c", "exec redis-cli --no-raw -h "+p.host+" -p "+p.port+" "+arguments)
}

// table asks until the answer is the one shown: that a message was delivered is booked a moment after it arrives.
func (p *tour) table(question spoken, shown []string) {
	p.t.Helper()
	person, end := p.people[question.who], time.Now().Add(patience)
	for {
		person.enter(question.text)
		person.enter("PING")
		var got []string
		for line := person.line(); line != "+PONG"; line = person.line() {
			got = append(got, line)
		}
		if slices.Equal(shown, got) {
			return
		}
		if time.Now().After(end) {
			assert.Equal(p.t, shown, got)
			return
		}
	}
}
