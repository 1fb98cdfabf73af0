package lint

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// docs is the directory of the reference pages.
const docs = "../../docs/"

func text(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(b)
}

// pages are all documents for readers.
func pages(t *testing.T) (all []string) {
	t.Helper()
	for _, glob := range []string{"../../*.md", docs + "*.md", docs + "*/*.md"} {
		found, err := filepath.Glob(glob)
		require.NoError(t, err)
		all = append(all, found...)
	}
	return all
}

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fence    = regexp.MustCompile("(?ms)^```.*?^```$")
	backtick = regexp.MustCompile("`[^`]+`")
)

// Each link to a file leads to one, and each link to a heading to a heading.
func TestLinks(t *testing.T) {
	links := 0
	for _, page := range pages(t) {
		prose := backtick.ReplaceAllString(fence.ReplaceAllString(text(t, page), ""), "")
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			name, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(name, "://") {
				continue
			}
			links++
			target := page
			if name != "" {
				target = filepath.Join(filepath.Dir(page), name)
			}
			if _, err := os.Stat(target); !assert.NoError(t, err, "a link of %s", page) || anchor == "" {
				continue
			}
			assert.Contains(t, anchors(text(t, target)), anchor, "a link of %s to %s", page, m[1])
		}
	}
	assert.Greater(t, links, 100)
}

// anchors are the names of a page's headings in links.
func anchors(page string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1]))
	}
	return all
}

// The index has all pages, and the README is short.
func TestIndex(t *testing.T) {
	index := text(t, docs+"README.md")
	found, err := filepath.Glob(docs + "*.md")
	require.NoError(t, err)
	for _, page := range found {
		if name := filepath.Base(page); name != "README.md" {
			assert.Contains(t, index, "("+name+")")
		}
	}
	assert.LessOrEqual(t, strings.Count(text(t, "../../README.md"), "\n"), 150)
}

// docs/commands.md has the lines of HELP, in the same order.
func TestLinesOfTheDocs(t *testing.T) {
	rows := harness.Table(t, docs+"commands.md", "lines")
	for _, spec := range protocol.Commands {
		if spec.Syntax != protocol.ArgsInline {
			require.NotEmpty(t, rows, spec.Usage)
			assert.Equal(t, spec.Usage, rows[0][0])
			rows = rows[1:]
		}
	}
	assert.Empty(t, rows)
}

var quoted = regexp.MustCompile("`([^`]+)`")

// docs/commands.md has each Redis command once. In a cell, `CLIENT ID` `INFO` are two subcommands of CLIENT.
func TestCommandsOfTheDocs(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range harness.Table(t, docs+"commands.md", "redis") {
		container := ""
		if !strings.Contains(row[0], "`") { // Table removes those around a whole cell
			row[0] = "`" + row[0] + "`"
		}
		for _, m := range quoted.FindAllStringSubmatch(row[0], -1) {
			words := strings.Fields(m[1])
			name := words[0]
			if sub := strings.ToLower(container + "|" + name); container != "" && protocol.LookupFull([]byte(sub)) != nil {
				name = container + " " + name
			} else if spec := protocol.Lookup([]byte(name)); spec != nil && len(spec.Subcommands()) > 0 && len(words) > 1 {
				container = name
				name += " " + words[1]
			}
			full := strings.ReplaceAll(strings.ToLower(name), " ", "|")
			require.NotNil(t, protocol.LookupFull([]byte(full)), name)
			assert.False(t, seen[full], "%s is there twice", name)
			seen[full] = true
		}
	}
	for _, spec := range protocol.Commands {
		if spec.Syntax == protocol.ArgsInline && (!spec.Container || spec.Name == "COMMAND") {
			assert.True(t, seen[spec.FullName()], "%s is not in docs/commands.md", spec.Name)
		}
	}
}

// What docs/coming-from-redis-pubsub.md calls absent is no command.
func TestAbsentCommandsOfTheDocs(t *testing.T) {
	for _, row := range harness.Table(t, docs+"coming-from-redis-pubsub.md", "absent") {
		for _, m := range quoted.FindAllStringSubmatch(row[1], -1) {
			assert.Nil(t, protocol.Lookup([]byte(m[1])), m[1])
		}
		assert.Equal(t, "ERR unknown command", row[2])
	}
}

// The column of conch in docs/coming-from.md names commands and settings that exist.
func TestComingFromOtherBrokers(t *testing.T) {
	configuration := text(t, docs+"configuration.md")
	for _, broker := range []string{"kafka", "iggy", "nats", "rabbitmq"} {
		for _, row := range harness.Table(t, docs+"coming-from.md", broker) {
			require.Len(t, row, 3, "%s: %s", broker, row[0])
			ours := strings.ReplaceAll(row[1], "`", "")
			if row[1] != "" && !strings.Contains(row[1], "`") { // Table removes those around a whole cell
				row[1] = "`" + row[1] + "`"
			}
			for _, m := range quoted.FindAllStringSubmatch(row[1], -1) {
				word := strings.Fields(m[1])[0]
				option, isOption := strings.CutPrefix(word, "--")
				switch {
				case isOption:
					assert.Contains(t, configuration, "| `"+option+"` |", ours)
				case word == strings.ToUpper(word) && strings.ContainsAny(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
					known := protocol.Lookup([]byte(word)) != nil || slices.Contains([]string{"COUNT"}, word)
					assert.True(t, known, "%s is no command: %s", word, ours)
				}
			}
		}
	}
}

func TestPoliciesOfTheDocs(t *testing.T) {
	rows := harness.Table(t, docs+"commands.md", "policies")
	assert.Len(t, rows, 3)
	for _, row := range rows {
		policy, err := outbox.ParsePolicy(row[0])
		require.NoError(t, err)
		assert.Equal(t, row[0], policy.String())
	}
}

// The counts that docs/commands.md explains are columns of its tables, in their order.
func TestCountsOfTheDocs(t *testing.T) {
	var columns []string
	for _, row := range harness.Table(t, docs+"commands.md", "counts") {
		columns = append(columns, row[0])
	}
	heads := regexp.MustCompile(`(?m)^two   < # .* ` + strings.Join(columns, ` +`) + `( +backlog)?$`)
	assert.Len(t, heads.FindAllString(text(t, docs+"commands.md"), -1), 2)
}

var programs = regexp.MustCompile(`(?m)^\t\{"([^"]+)", "(RESP[23])",`)

// The table of libraries has those that test/compat runs, and all of them pass.
func TestClientsOfTheDocs(t *testing.T) {
	rows := harness.Table(t, docs+"clients.md", "clients")
	run := programs.FindAllStringSubmatch(text(t, "../../test/compat/go/run/main.go"), -1)
	require.Len(t, rows, len(run))
	for i, m := range run {
		assert.Equal(t, []string{m[1], m[2], "passes"}, []string{rows[i][0], rows[i][2], rows[i][3]})
	}
}

// loads are the rows of the README's table of speed, by their scenario in docs/performance.md.
var loads = map[string]string{
	"1 publisher, 1 subscriber, 64 commands a write":                      "1 → 1",
	"1 publisher, 100 subscribers, 64 commands a write":                   "1 → 100",
	"4 publishers, 1 subscriber, 100 topics in turn, 64 commands a write": "4 → 1 over 100 topics in turn",
	"1 publisher, 1 subscriber, one command a write":                      "1 → 1, one command a write",
}

// The README's figures are those of docs/performance.md, and its ratios follow from them.
func TestSpeedOfTheREADME(t *testing.T) {
	performance := text(t, docs+"performance.md")
	rows := harness.Table(t, "../../README.md", "speed")
	assert.Len(t, rows, len(loads))
	for _, row := range rows {
		figures := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(loads[row[0]]) + ` \| deliveries/s \| (\d.*)$`)
		all := figures.FindAllStringSubmatch(performance, -1)
		require.NotEmpty(t, all, row[0])
		cells := strings.Split(all[len(all)-1][1], "|") // the table of ratios stands before that of all figures
		for i, want := range row[1:4] {
			assert.True(t, strings.HasPrefix(strings.TrimSpace(cells[i]), want), "%s: %q, but %q", row[0], want, cells[i])
		}
		best := max(number(t, row[2]), number(t, row[3]))
		assert.Equal(t, fmt.Sprintf("%.1f×", number(t, row[1])/best), row[4], row[0])
	}
}

// Each ratio of docs/performance.md divides conch's median by that of the peer which the row names.
func TestRatiosOfTheDocs(t *testing.T) {
	ratios := 0
	rows := regexp.MustCompile(`(?m)^\| ([^|]+ \| [^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+)(?: \| ([^|]+))?(?: \| [^|]+)? \|$`)
	sections := strings.Split(text(t, docs+"performance.md"), "### Goals")
	for _, section := range sections[1:] {
		goals, all, found := strings.Cut(section, "### All figures")
		if !found {
			continue // the figures stand in the table of the goals
		}
		figures := map[string][]string{} // conch, redis, nats, relay, conch RESP
		for _, m := range rows.FindAllStringSubmatch(all, -1) {
			figures[m[1]] = m[2:]
		}
		peers := map[string]int{"redis": 1, "nats": 2}
		for _, m := range rows.FindAllStringSubmatch(goals, -1) {
			ratio, peer, _ := strings.Cut(m[3], "× ")
			if place, ok := peers[peer]; ok {
				f := figures[m[1]]
				require.NotNil(t, f, m[1])
				want := number(t, f[0]) / number(t, f[place]) // of medians that are rounded to three digits
				assert.InDelta(t, want, number(t, ratio), 0.005+0.006*want, m[1])
				ratios++
			}
		}
	}
	assert.Greater(t, ratios, 30)
}

// number reads 1.84 M and 334 k, whatever follows.
func number(t *testing.T, text string) float64 {
	t.Helper()
	digits, unit, _ := strings.Cut(text, " ")
	unit, _, _ = strings.Cut(unit, " ")
	if unit == "*" || strings.HasPrefix(unit, "(") {
		unit = ""
	}
	v, err := strconv.ParseFloat(digits, 64)
	require.NoError(t, err)
	return v * map[string]float64{"": 1, "k": 1e3, "M": 1e6}[unit]
}
