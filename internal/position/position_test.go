package position_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/position"
)

const epoch = "ef86d081884c7d65"

// What each form of docs/sequence.md is, in the order of the table.
var forms = []struct {
	form  string // in the table
	means position.Position
}{
	{"FROM ef86d081884c7d65-123", position.Position{Kind: position.Number, Epoch: epoch, Number: 123}},
	{"FROM #123", position.Position{Kind: position.Number, Number: 123}},
	{"FROM 0", position.Position{Kind: position.Oldest}},
	{"FROM 2026-11-21T10:00:00Z", position.Position{Kind: position.Time, Time: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)}},
	{"FROM -5m", position.Position{Kind: position.Age, Age: 5 * time.Minute}},
	{"LAST 10", position.Position{Kind: position.Last, Number: 10}},
	{"LAST 1 EACH", position.Position{Kind: position.Last, Number: 1, Each: true}},
	{"FROM 1763719200000-0", position.Position{Kind: position.Entry, Text: "1763719200000-0"}},
	{"FROM GROUP billing", position.Position{Kind: position.Group, Text: "billing"}},
}

func TestTheFormsOfTheDocs(t *testing.T) {
	rows := harness.Table(t, "../../docs/sequence.md", "positions")
	require.Len(t, rows, len(forms))
	for i, f := range forms {
		assert.Equal(t, f.form, rows[i][0])
		got, err := position.ParseClause(rows[i][0])
		require.NoError(t, err, rows[i][0])
		assert.Equal(t, f.means, got, rows[i][0])
	}
}

func TestWhatIsNoPosition(t *testing.T) {
	for clause, reason := range map[string]string{
		"FROM ":                             `"" is no position; type FROM EPOCH-123, FROM #123`,
		"FROM 123":                          `"123" is no position`,
		"FROM #":                            `"#" is no position`,
		"FROM #-1":                          `is no position`,
		"FROM #9223372036854775808":         `the sequence number of "#9223372036854775808" is too large`,
		"FROM 9f86d081884c7d65-1":           `is no position`, // no epoch starts with a digit
		"FROM ef86d081884c7d6-1":            `is no position`,
		"FROM EF86D081884C7D65-1":           `is no position`,
		"FROM " + epoch:                     `is no position`,
		"FROM 0 news":                       `"0 news" is no position`,
		"FROM GROUP ":                       `"GROUP" is no position`,
		"FROM 5m":                           `is no position`,
		"FROM --5m":                         `is no position`,
		"FROM 2026-11-21":                   `is no position`,
		"LAST ":                             `LAST needs a number of messages behind it, not ""`,
		"LAST 0":                            `LAST needs a number`,
		"LAST -1":                           `LAST needs a number`,
		"LAST 2 EACH":                       `type LAST 1 EACH`,
		"LAST EACH":                         `LAST needs a number`,
		"LAST 1EACH":                        `LAST needs a number`,
		"LAST ten":                          `not "ten"; such as LAST 10`,
		"FROM " + strings.Repeat("x", 1000): strings.Repeat("x", 64) + `..."`,
	} {
		_, err := position.ParseClause(clause)
		assert.ErrorContains(t, err, reason, clause)
	}
}

func TestSplit(t *testing.T) {
	for name, want := range map[string][3]string{
		"news":               {"news"},
		"news FROM 0":        {"news", "FROM 0", "found"},
		"news LAST 10":       {"news", "LAST 10", "found"},
		" FROM 0":            {"", "FROM 0", "found"},
		"news FROM ":         {"news", "FROM ", "found"},
		"news FROM":          {"news FROM"},
		"FROM 0":             {"FROM 0"},
		"a FROM 0 LAST 1":    {"a", "FROM 0 LAST 1", "found"},
		"a LAST 1 FROM 0":    {"a", "LAST 1 FROM 0", "found"},
		"a[ ]FROM b FROM #1": {"a[ ]FROM b", "FROM #1", "found"},
		"news from 0":        {"news from 0"},
	} {
		topic, clause, found := position.Split([]byte(name))
		assert.Equal(t, want, [3]string{string(topic), string(clause), map[bool]string{true: "found"}[found]}, name)
	}
}

// An epoch starts with a letter, so that no position is an entry id, and what Append writes is read back.
func TestEpochs(t *testing.T) {
	letter := regexp.MustCompile(`^[a-f][0-9a-f]{15}$`)
	seen := map[string]bool{}
	for i := range 1000 {
		e := position.NewEpoch(rand.Uint64())
		require.Regexp(t, letter, e)
		seen[e] = true
		text := string(position.Append(nil, e, uint64(i)))
		got, err := position.ParseFrom(text)
		require.NoError(t, err)
		assert.Equal(t, position.Position{Kind: position.Number, Epoch: e, Number: uint64(i)}, got)
	}
	assert.Len(t, seen, 1000)
	for _, bits := range []uint64{0, 1, 1<<64 - 1} {
		assert.Regexp(t, letter, position.NewEpoch(bits))
	}
}

func FuzzParse(f *testing.F) {
	for _, form := range forms {
		f.Add(form.form)
	}
	f.Fuzz(func(t *testing.T, clause string) {
		p, err := position.ParseClause(clause)
		if err == nil && p.Kind == position.Number && p.Epoch != "" {
			again, err := position.ParseFrom(string(position.Append(nil, p.Epoch, p.Number)))
			require.NoError(t, err)
			assert.Equal(t, p, again)
		}
	})
}
