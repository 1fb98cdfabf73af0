//go:build e2e

package e2e

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/harness"
)

// Consumer groups, as far as Redis 7.0 has them. What docs/groups.md lists as different is masked (groupDifferences), and so are idle
// times. Consumers are made with their groups, because 7.0 makes them later in some commands.

var groupFamilies = []family{
	{"xgroup", 6, xgroup, true, false, false},
	{"xreadgroup", 10, one(xreadgroup), true, false, false},
	{"xack", 4, one(xack), true, false, false},
	{"xpending", 4, one(xpending), true, false, false},
	{"xclaim", 6, one(xclaim), true, false, false},
	{"xautoclaim", 4, one(xautoclaim), true, false, false},
	{"xinfogroups", 3, one(xinfoGroups), true, false, false},
	{"blockedgroup", 4, blockedGroup, false, true, true},
	{"hostilegroup", 4, one(hostileGroup), true, false, false},
	{"hostileclaim", 4, one(hostileClaim), true, false, false},
}

func TestRedisAnswersGroupsAsRedis(t *testing.T) {
	reference, subject := startRedis(t), startRedis(t)
	reference.keys, subject.keys = true, true
	compareAtRandom(t, reference, subject, append(slices.Clone(streamFamilies), groupFamilies...), composeStreams)
}

func (g *generator) group() string {
	if g.oneIn(12) {
		return pick(g, "nosuch", "", "a group\r\n")
	}
	return pick(g, "g", "g", "h")
}

func (g *generator) consumer() string { return pick(g, "c", "c", "d") }

func xgroup(g *generator) []command {
	key, group := g.anyKey(), g.group()
	switch g.Intn(8) {
	case 0:
		return one(func(*generator) []string { return []string{"XGROUP", "DESTROY", key, group} })(g)
	case 1:
		words := []string{"XGROUP", "SETID", key, group, pick(g, g.anyID(), "$", "0", g.oldID())}
		if g.oneIn(4) {
			words = append(words, "ENTRIESREAD", g.number(9))
		}
		return []command{g.command(words)}
	case 2:
		consumer := g.consumer()
		return []command{g.command([]string{"XGROUP", "DELCONSUMER", key, group, consumer}), g.command([]string{"XGROUP", "CREATECONSUMER", key, group, consumer})}
	}
	words := []string{"XGROUP", pick(g, "CREATE", "create"), key, group, pick(g, g.anyID(), "$", "0", "0")}
	if g.oneIn(2) {
		words = append(words, pick(g, "MKSTREAM", "MKSTREAM", "FOO"))
	}
	if g.oneIn(6) {
		words = append(words, "ENTRIESREAD", g.number(9))
	}
	return []command{
		g.command(words), g.command([]string{"XGROUP", "CREATECONSUMER", key, group, "c"}), g.command([]string{"XGROUP", "CREATECONSUMER", key, group, "d"}),
	}
}

func xreadgroup(g *generator) []string {
	words := []string{"XREADGROUP", "GROUP", g.group(), g.consumer()}
	if g.oneIn(2) {
		words = append(words, pick(g, "COUNT", "count"), g.number(4))
	}
	if g.oneIn(6) {
		words = append(words, "NOACK")
	}
	if g.oneIn(8) {
		words = append(words, "BLOCK", pick(g, "1", "2", "-1", "x"))
	}
	if g.oneIn(25) {
		words = append(words, pick(g, "FOO", "GROUP", "COUNT"))
	}
	words, n := append(words, "STREAMS"), 1+g.Intn(2)
	for range n {
		words = append(words, g.anyKey())
	}
	for range n {
		words = append(words, pick(g, ">", ">", ">", "0", g.anyID()))
	}
	if g.oneIn(20) {
		words = words[:len(words)-1]
	}
	return words
}

func xack(g *generator) []string {
	words := []string{"XACK", g.anyKey(), g.group()}
	for range 1 + g.Intn(4) {
		words = append(words, g.anyID())
	}
	return words
}

func xpending(g *generator) []string {
	words := []string{"XPENDING", g.anyKey(), g.group()}
	if g.oneIn(3) {
		return words
	}
	if g.oneIn(4) {
		words = append(words, "IDLE", pick(g, "0", "100000", "-1", "x"))
	}
	words = append(words, pick(g, "-", "-", g.anyID(), "("+g.oldID()), pick(g, "+", "+", g.anyID()), g.number(9))
	if g.oneIn(3) {
		words = append(words, pick(g, "c", "d", "nosuch"))
	}
	return words
}

func xclaim(g *generator) []string {
	words := []string{"XCLAIM", g.anyKey(), g.group(), g.consumer(), pick(g, "0", "0", "100000", "-1", "x")}
	for range 1 + g.Intn(4) {
		words = append(words, g.anyID())
	}
	for range g.Intn(3) {
		words = append(words, pick(g, []string{"FORCE"}, []string{"JUSTID"}, []string{"IDLE", "200000"}, []string{"TIME", pick(g, "1000", "99999999999999", "x")},
			[]string{"RETRYCOUNT", g.number(9)}, []string{"LASTID", g.anyID()}, []string{"FOO"})...)
	}
	return words
}

func xautoclaim(g *generator) []string {
	words := []string{"XAUTOCLAIM", g.anyKey(), g.group(), g.consumer(), pick(g, "0", "0", "100000", "-1", "x"), pick(g, "-", "0", g.anyID(), "("+g.oldID())}
	if g.oneIn(2) {
		words = append(words, "COUNT", pick(g, "1", "2", "3", "0", "x"))
	}
	if g.oneIn(3) {
		words = append(words, pick(g, "JUSTID", "justid", "FOO"))
	}
	return words
}

func xinfoGroups(g *generator) []string {
	if g.oneIn(2) {
		return []string{"XINFO", "GROUPS", g.anyKey()}
	}
	return []string{"XINFO", "CONSUMERS", g.anyKey(), g.group()}
}

// blockedGroup is a read of a group that may wait.
func blockedGroup(g *generator) []command {
	words := []string{"XREADGROUP", "GROUP", g.group(), g.consumer(), "BLOCK", pick(g, "0", "0", "100000")}
	if g.oneIn(3) {
		words = append(words, "COUNT", "1")
	}
	return []command{g.command(append(words, "STREAMS", g.key(), ">"))}
}

// hostileGroup has not the right number of arguments, or arguments from anywhere.
func hostileGroup(g *generator) []string {
	words := []string{pick(g, "XACK", "XPENDING", "XREADGROUP")} // those that make no consumer
	if g.oneIn(3) {
		words = []string{"XGROUP", pick(g, "CREATE", "SETID", "DESTROY", "NOSUCH", "")}
	}
	for range g.Intn(8) {
		words = append(words, pick(g, g.badID(), pick(g, badNumbers...), g.key(), "g", "STREAMS", "COUNT", "IDLE", "MKSTREAM", "ENTRIESREAD", "0", "1-1"))
	}
	return words
}

// hostileClaim has options from anywhere, for a consumer that exists if its group does.
func hostileClaim(g *generator) []string {
	words := []string{pick(g, "XCLAIM", "XAUTOCLAIM"), g.key(), pick(g, "g", "g", "h", ""), pick(g, "c", "d")}
	for range g.Intn(9) {
		words = append(words, pick(g, g.oldID(), g.badID(), pick(g, badNumbers...), "COUNT", "JUSTID", "FORCE", "IDLE", "TIME", "RETRYCOUNT", "LASTID", "0", "1-1"))
	}
	return words
}

// wakingGroup changes a group that may be waited for, or takes what it is to read.
func wakingGroup(g *generator) []command {
	make := pick(g, xgroup, one(xreadgroup), one(xack), one(xclaim), one(xautoclaim))
	return make(g)
}

// groupDifferences are the rows of the table in docs/groups.md, and what makes answers alike in spite of them, as in differences.
var groupDifferences = map[string]func([]frame) []frame{
	"`entries-read`, `lag`":                  maskCounts,
	"consumers":                              nil,
	"`XINFO CONSUMERS`, `XINFO STREAM FULL`": dropLaterGroupFields,
	"texts of later versions":                laterGroupTexts,
	"`idle` and `seen-time` after a restart, and on different nodes": maskIdle,
	"`MAXSIZE` of `XREADGROUP`":                                      nil,
	"long names":                                                     nil,
}

func TestGroupDifferencesAreDocumented(t *testing.T) {
	var documented []string
	for _, row := range harness.Table(t, "../../docs/groups.md", "groupdifferences") {
		documented = append(documented, row[0])
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(groupDifferences)), documented)
}

func maskCounts(frames []frame) []frame {
	for i, f := range frames {
		if follows(frames, i, "entries-read", "lag") {
			f[0] = "(count)"
		}
	}
	return frames
}

// dropLaterGroupFields leaves out fields that 7.0 does not have, and counts of fields.
func dropLaterGroupFields(frames []frame) (kept []frame) {
	later := []string{"inactive", "active-time", "nacked-count"}
	for i, f := range frames {
		if follows(frames, i+1, later...) || follows(frames, i, later...) {
			continue
		}
		if i+1 < len(frames) && frames[i+1][0] == bulkString("name") {
			f = frame{"(fields)"}
		}
		kept = append(kept, f)
	}
	return kept
}

var pendingID = regexp.MustCompile(`^\$\d+\r\n\d+-\d+\r\n$`)

// maskIdle masks times in milliseconds: of XINFO CONSUMERS, and of the four elements of XPENDING.
func maskIdle(frames []frame) []frame {
	for i, f := range frames {
		if follows(frames, i, "idle") || i > 2 && frames[i-3][0] == "*4\r\n" && pendingID.MatchString(frames[i-2][0]) && f[0][0] == ':' {
			f[0] = "(time)"
		}
	}
	return frames
}

// laterGroupTexts words errors of 7.0 as 7.2 does.
func laterGroupTexts(frames []frame) []frame {
	for _, f := range frames {
		f[0] = strings.Replace(f[0], "Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>'", "Unbalanced 'xread' list of streams: for each stream key an ID or '$'", 1)
		if strings.HasPrefix(f[0], "-NOGROUP") && strings.HasSuffix(f[0], "in XREADGROUP with GROUP option\r\n") ||
			f[0] == "-NOGROUP the consumer group this client was blocked on no longer exists\r\n" || f[0] == "-UNBLOCKED the stream key no longer exists\r\n" {
			f[0] = "(no group)"
		}
	}
	return frames
}
