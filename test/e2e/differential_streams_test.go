//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"math/rand"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/harness"
)

// Streams and keys, as far as Redis 7.0 has them. What is masked besides the list of differential_test.go:
//
//   - Times: ids that the server makes, times to live and the ends of these.
//   - What docs/streams.md lists as different (differences).
//
// Never sent: options and commands of Redis 8, XREAD from "+" (7.4), ~ with a threshold that removes a part of a stream
// (Redis removes whole nodes of its tree), other types of values, databases.

// streamKeys are topics too: sortListed orders what KEYS and SCAN list.
var streamKeys = []string{"a", "b", "a", "b", "ab", "x y", "\x00\xff\r\n", ""}

const autoKey = "A" // has entries with ids of the server, which are above all others

var streamFamilies = []family{
	{"xadd", 24, one(xadd), true, false, false},
	{"xrange", 10, one(xrange), true, false, false},
	{"xread", 8, one(xread), true, false, false},
	{"blocked", 5, blocked, false, true, true},
	{"xdel", 5, one(xdel), true, false, false},
	{"xtrim", 4, one(xtrim), true, false, false},
	{"xsetid", 3, one(xsetid), true, false, false},
	{"xinfo", 4, one(xinfo), true, false, false},
	{"keys", 8, one(keyCommand), true, false, false},
	{"expire", 5, one(expire), true, false, false},
	{"scan", 3, one(scan), true, false, false},
	{"watch", 4, one(watch), true, false, false},
	{"transaction", 10, transaction, false, false, false},
	{"version", 2, one(func(g *generator) []string { return []string{"HELLO", pick(g, "2", "3")} }), true, false, false},
	{"hostile", 5, one(hostile), true, false, false},
	{"reset", 1, fixed("RESET"), false, false, false},
	{"flush", 1, one(flush), true, false, false},
}

func TestRedisAnswersStreamsAsRedis(t *testing.T) {
	reference, subject := startRedis(t), startRedis(t)
	reference.keys, subject.keys = true, true
	compareAtRandom(t, reference, subject, streamFamilies, composeStreams)
}

// composeStreams is compose, and the whole state in the end.
func composeStreams(random *rand.Rand, from []family) sequence {
	s := compose(random, from)
	last := step{alone: true}
	for _, key := range allStreamKeys() {
		last.commands = append(last.commands, command{words: []string{"XINFO", "STREAM", key, "FULL", "COUNT", "0"}})
	}
	s.steps = append(s.steps, last)
	return s
}

// allStreamKeys are each key once.
func allStreamKeys() []string {
	return slices.Compact(slices.Sorted(slices.Values(append([]string{autoKey}, streamKeys...))))
}

func (g *generator) key() string { return pick(g, streamKeys...) }

// newID is an id that is mostly above those before.
func (g *generator) newID() string {
	g.clock += g.Intn(3)
	switch g.Intn(8) {
	case 0:
		return fmt.Sprintf("%d-*", g.clock)
	case 1:
		return fmt.Sprint(g.clock)
	case 2:
		return g.oldID()
	}
	return fmt.Sprintf("%d-%d", g.clock, g.Intn(4))
}

// oldID is an id that may exist.
func (g *generator) oldID() string {
	id := fmt.Sprint(g.Intn(g.clock + 2))
	if g.oneIn(5) {
		return id
	}
	return fmt.Sprintf("%s-%d", id, g.Intn(4))
}

// badIDs are none, or are below those of the entries.
var badIDs = []string{
	"", "-", "+", "*", "$", ">", "(", "(-", "(+", "1-", "-1", "1-1-1", "1--1", "abc", "1-a", " 1", "1 ", "+1", "01-02", "1.5", "0x1",
	"1-*", "*-1", "*-*", "(1-*", "((1", "0-0", "0-1", "0-*", "(0-0", "(0", "18446744073709551616",
	"18446744073709551615-18446744073709551616", "99999999999999999999999999999999", "1-\x00", "\x00",
}

// hugeIDs are above all others.
var hugeIDs = []string{
	"18446744073709551615", "18446744073709551615-18446744073709551615", "18446744073709551615-*", "18446744073709551615-18446744073709551614",
}

func (g *generator) badID() string {
	if g.huge && g.oneIn(4) {
		return pick(g, hugeIDs...)
	}
	return pick(g, badIDs...)
}

var badNumbers = []string{"", "x", "0", "-1", "-2", "+1", "01", "1.5", " 1", "1 ", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551615", "1e3"}

func (g *generator) anyID() string {
	if g.oneIn(10) {
		return g.badID()
	}
	return g.oldID()
}

func (g *generator) number(most int) string {
	if g.oneIn(12) {
		return pick(g, badNumbers...)
	}
	return fmt.Sprint(1 + g.Intn(most))
}

// fields are names and values. No name is a topic, so that sortListed leaves entries alone.
func (g *generator) fields() []string {
	var words []string
	for range 1 + g.Intn(3) {
		words = append(words, pick(g, "f", "g", "f", "a field", "\xff\x00"), pick(g, "", "v", "1", "-1", "value", "\r\n", strings.Repeat("long", 30)))
	}
	if g.oneIn(20) {
		words = words[1:]
	}
	return words
}

// trimming are the options of XADD and XTRIM. With ~ they remove nothing or everything.
func (g *generator) trimming() []string {
	strategy := pick(g, "MAXLEN", "maxlen", "MINID")
	threshold := map[bool]string{true: g.anyID(), false: g.number(12)}[strategy == "MINID"]
	words := []string{strategy}
	switch g.Intn(4) {
	case 0:
		words = append(words, "=")
	case 1:
		threshold = map[bool]string{true: "0-0", false: pick(g, "1000", "0")}[strategy == "MINID"]
		words = append(words, "~", threshold)
		if g.oneIn(2) {
			words = append(words, "LIMIT", pick(g, "0", "1000", "-1", "x", ""))
		}
		return words
	}
	words = append(words, threshold)
	if g.oneIn(15) {
		words = append(words, "LIMIT", g.number(5))
	}
	return words
}

func xadd(g *generator) []string {
	if g.oneIn(15) {
		return append([]string{"XADD", autoKey, "*"}, g.fields()...)
	}
	words := []string{"XADD", g.key()}
	if g.oneIn(6) {
		words = append(words, pick(g, "NOMKSTREAM", "nomkstream"))
	}
	if g.oneIn(4) {
		words = append(words, g.trimming()...)
	}
	if g.oneIn(30) {
		words = append(words, pick(g, "FOO", "LIMIT", "=", "~", "MAXLEN", "MINID"))
	}
	id := g.newID()
	if g.oneIn(15) {
		id = g.badID()
		if id == "*" {
			words[1] = autoKey
		}
	}
	return append(append(words, id), g.fields()...)
}

func xrange(g *generator) []string {
	bound := func(end string) string {
		switch g.Intn(4) {
		case 0, 1:
			return end
		case 2:
			return "(" + g.oldID()
		}
		return g.anyID()
	}
	verb, words := "XRANGE", []string{g.anyKey(), bound("-"), bound("+")}
	if g.oneIn(2) {
		verb, words = "XREVRANGE", []string{g.anyKey(), bound("+"), bound("-")}
	}
	if g.oneIn(2) {
		words = append(words, pick(g, "COUNT", "count"), g.number(5))
	}
	if g.oneIn(20) {
		words = append(words, pick(g, "COUNT", "FOO", ""))
	}
	return append([]string{verb}, words...)
}

func (g *generator) anyKey() string {
	if g.oneIn(8) {
		return autoKey
	}
	return g.key()
}

func xread(g *generator) []string {
	words := []string{"XREAD"}
	if g.oneIn(3) {
		words = append(words, pick(g, "COUNT", "count"), g.number(4))
	}
	if g.oneIn(5) {
		words = append(words, "BLOCK", pick(g, "1", "2", "-1", "x", "", "99999999999999999999"))
	}
	if g.oneIn(25) {
		words = append(words, pick(g, "FOO", "GROUP", "NOACK", "COUNT", "BLOCK"))
	}
	return append(words, g.streams()...)
}

// streams are STREAMS, keys and their ids.
func (g *generator) streams() []string {
	words, n := []string{pick(g, "STREAMS", "streams")}, 1+g.Intn(3)
	for range n {
		words = append(words, g.anyKey())
	}
	for range n {
		id := pick(g, g.anyID(), g.oldID(), "0", "0", "$", "0-0")
		if id == "+" { // the last entry, from 7.4 on
			id = "-"
		}
		words = append(words, id)
	}
	if g.oneIn(20) {
		words = words[:len(words)-1]
	}
	return words
}

func xdel(g *generator) []string {
	words := []string{"XDEL", g.anyKey()}
	for range 1 + g.Intn(4) {
		words = append(words, g.anyID())
	}
	return words
}

func xtrim(g *generator) []string {
	words := append([]string{"XTRIM", g.anyKey()}, g.trimming()...)
	if g.oneIn(15) {
		words = append(words, pick(g, "FOO", "NOMKSTREAM", "MAXLEN", "LIMIT", "="))
	}
	return words
}

// xsetid sets ids above all others: below that of an entry that is deleted, 7.2 refuses what 7.0 accepts.
func xsetid(g *generator) []string {
	if g.huge {
		return []string{"XLEN", g.key()}
	}
	g.clock += 1 + g.Intn(3)
	words := []string{"XSETID", g.key(), pick(g, fmt.Sprint(g.clock), fmt.Sprintf("%d-%d", g.clock, g.Intn(4)), "x", "-", "$", "")}
	switch g.Intn(4) {
	case 0:
		words = append(words, "ENTRIESADDED", g.number(90), "MAXDELETEDID", g.anyID())
	case 1:
		words = append(words, pick(g, "ENTRIESADDED", "MAXDELETEDID", "FOO"), pick(g, g.number(90), g.anyID()))
	}
	return words
}

func xinfo(g *generator) []string {
	words := []string{"XINFO", pick(g, "STREAM", "stream"), g.anyKey()}
	switch g.Intn(4) {
	case 0, 1:
		words = append(words, pick(g, "FULL", "full"))
		if g.oneIn(2) {
			words = append(words, "COUNT", g.number(5))
		}
	case 2:
		if g.oneIn(4) {
			words = append(words, pick(g, "FOO", "COUNT", "FULL COUNT"), "1")
		}
	}
	return words
}

func keyCommand(g *generator) []string {
	switch verb := pick(g, "XLEN", "XLEN", "DEL", "UNLINK", "EXISTS", "TOUCH", "TYPE", "DBSIZE", "KEYS", "OBJECT"); verb {
	case "DBSIZE":
		return []string{verb}
	case "KEYS":
		return []string{verb, pick(g, patterns...)}
	case "OBJECT":
		return []string{verb, pick(g, "ENCODING", "encoding"), g.key()}
	case "XLEN", "TYPE":
		return []string{verb, g.anyKey()}
	default:
		return append([]string{verb}, g.some(streamKeys)...)
	}
}

// expire uses times to live of 100 seconds, which maskStreams knows, or ends in the past.
func expire(g *generator) []string {
	conditions := func(words ...string) []string {
		for range g.Intn(3) {
			words = append(words, pick(g, "NX", "XX", "GT", "LT", "gt", "FOO"))
		}
		return words
	}
	switch g.Intn(12) {
	case 0, 1:
		return conditions("EXPIRE", g.key(), "100")
	case 2:
		return conditions("PEXPIRE", g.key(), "100000")
	case 3:
		return conditions("EXPIREAT", g.key(), pick(g, "4000000000", "1", "0", "-1"))
	case 4:
		return conditions("PEXPIREAT", g.key(), pick(g, "4000000000000", "1000", "0", "-1"))
	case 5:
		return []string{pick(g, "EXPIRE", "PEXPIRE"), g.key(), pick(g, "0", "-1", "-9223372036854775807")}
	case 6:
		return []string{pick(g, "EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"), g.key(),
			pick(g, "x", "", "1.5", "9223372036854775807", "9223372036854775", "-9223372036854775808", "9223372036854775808", "9223372036854774")}
	case 7:
		return []string{"PERSIST", g.key()}
	default:
		return []string{pick(g, "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"), g.key()}
	}
}

// scan takes all keys at once: cursors are each server's own. Where there are no streams it is not sent: conch refuses it in a database
// other than 0, where Redis has none to list.
func scan(g *generator) []string {
	if g.oneIn(4) {
		return wrongScan(g)
	}
	words := []string{"SCAN", "0", "COUNT", "1000"}
	if g.oneIn(2) {
		words = append(words, "MATCH", pick(g, patterns...))
	}
	if g.oneIn(2) {
		words = append(words, "TYPE", pick(g, "stream", "STREAM", "string", "x", ""))
	}
	return words
}

func wrongScan(g *generator) []string {
	if g.oneIn(2) {
		return []string{"SCAN", pick(g, "x", "", " 1", "1 ", "18446744073709551616")}
	}
	return append([]string{"SCAN", "0"}, g.some([]string{"MATCH", "a*", "count", "1000", "0", "x", "TYPE", "string"})...)
}

// watch has no part where XSETID has: in Redis it is no change.
func watch(g *generator) []string {
	if !g.huge {
		return []string{"XLEN", g.key()}
	}
	if g.oneIn(4) {
		return []string{"UNWATCH"}
	}
	return append([]string{"WATCH"}, g.some(streamKeys)...)
}

func flush(g *generator) []string {
	words := []string{pick(g, "FLUSHALL", "FLUSHDB")}
	if g.oneIn(2) {
		words = append(words, pick(g, "ASYNC", "sync", "FOO", ""))
	}
	return words
}

// hostile has not the right number of arguments, or arguments from anywhere.
func hostile(g *generator) []string {
	verb := pick(g, "XADD", "XLEN", "XRANGE", "XREVRANGE", "XDEL", "XTRIM", "DEL", "UNLINK", "EXISTS", "TYPE", "KEYS",
		"DBSIZE", "FLUSHALL", "FLUSHDB", "TOUCH", "EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT", "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME",
		"PERSIST", "WATCH", "UNWATCH")
	words := []string{verb}
	if verb == "WATCH" && !g.huge {
		words = []string{"UNWATCH"}
	}
	switch {
	case g.oneIn(6):
		words = []string{pick(g, "XINFO", "OBJECT"), pick(g, "STREAM", "ENCODING", "NOSUCH", "")}
	case !g.oneIn(5):
		words = append(words, g.key()) // sortListed knows no others that XADD would make
	case verb == "XADD":
		return words
	}
	for range g.Intn(7) {
		words = append(words, pick(g, g.badID(), pick(g, badNumbers...), g.key(), "STREAMS", "COUNT", "MAXLEN", "MINID", "=", "LIMIT", "FULL", "0", "1-1"))
	}
	if i := slices.Index(words, "*"); i > 0 {
		words[i] = "1-1"
	}
	return words
}

// blocked is a read that may wait, with something behind it perhaps.
func blocked(g *generator) []command {
	words := []string{"XREAD", "BLOCK", pick(g, "0", "0", "100000")}
	if g.oneIn(3) {
		words = append(words, "COUNT", "1")
	}
	words = append(words, "STREAMS")
	keys := slices.Compact(slices.Sorted(slices.Values(g.some(streamKeys))))
	words = append(words, keys...)
	for range keys {
		words = append(words, pick(g, "$", "$", fmt.Sprint(g.clock+1), g.oldID()))
	}
	commands := []command{g.command(words)}
	if g.oneIn(3) {
		commands = append(commands, g.command([]string{"XLEN", g.key()}))
	}
	return commands
}

// waking is what another connection sends meanwhile: it may wake the one that is blocked. What a transaction adds to one stream, 7.0
// and 7.2 answer alike.
func waking(g *generator) (commands []command) {
	adding := func(key string) {
		commands = append(commands, g.command(append([]string{"XADD", key, g.newID()}, g.fields()...)))
	}
	if g.oneIn(4) {
		commands = append(commands, fixed("MULTI")(g)...)
		key := g.key()
		for range 1 + g.Intn(3) {
			adding(key)
		}
		return append(commands, fixed(pick(g, "EXEC", "EXEC", "DISCARD"))(g)...)
	}
	groups := slices.ContainsFunc(g.families, func(f family) bool { return f.name == "xgroup" })
	for range 1 + g.Intn(3) {
		switch {
		case groups && g.oneIn(4):
			commands = append(commands, wakingGroup(g)...)
			continue
		case g.oneIn(3):
			commands = append(commands, g.command(pick(g, xdel, xtrim, keyCommand)(g)))
			continue
		}
		adding(g.key())
	}
	return commands
}

var (
	autoID = regexp.MustCompile(`^\$\d+\r\n1[6-9]\d{11}-\d+\r\n$`)
	ttl    = regexp.MustCompile(`^:(100|99|9[89]\d{3}|100000|\d{10}|\d{13}|\d{16}|\d{19})\r\n$`)
)

// differences are the rows of the table in docs/streams.md, and what makes answers alike in spite of them. Nil: what shows the
// difference is never sent, or sortListed knows it.
var differences = map[string]func([]frame) []frame{
	"approximate trimming":         nil,
	"nodes of the tree":            maskNodes,
	"fields of later versions":     dropLaterFields,
	"texts of later versions":      laterTexts,
	"blocked reads":                nil,
	"XSETID below a deleted entry": nil,
	"WATCH and XSETID":             nil,
	"order of keys":                nil,
	"other types":                  nil,
	"databases":                    nil,
}

func TestDifferencesAreDocumented(t *testing.T) {
	var documented []string
	for _, row := range harness.Table(t, "../../docs/streams.md", "differences") {
		documented = append(documented, row[0])
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(differences)), documented)
}

// maskStreams replaces what depends on the time or is meant to differ.
func maskStreams(frames []frame) []frame {
	for _, table := range []map[string]func([]frame) []frame{differences, groupDifferences} {
		for _, alike := range table {
			if alike != nil {
				frames = alike(frames)
			}
		}
	}
	for _, f := range frames {
		switch {
		case len(f) > 1:
		case autoID.MatchString(f[0]):
			f[0] = "(id of now)"
		case ttl.MatchString(f[0]):
			f[0] = "(time)"
		}
	}
	return frames
}

// laterTexts words errors of 7.0 as 7.2 does.
func laterTexts(frames []frame) []frame {
	for _, f := range frames {
		f[0] = strings.Replace(f[0], "Unbalanced XREAD list", "Unbalanced 'xread' list", 1)
	}
	return frames
}

// follows tells whether a frame is the value of a name in XINFO STREAM.
func follows(frames []frame, i int, names ...string) bool {
	return i > 0 && slices.ContainsFunc(names, func(name string) bool { return frames[i-1][0] == bulkString(name) })
}

func maskNodes(frames []frame) []frame {
	for i, f := range frames {
		if follows(frames, i, "radix-tree-keys", "radix-tree-nodes") {
			f[0] = "(nodes)"
		}
	}
	return frames
}

// dropLaterFields leaves out fields of XINFO STREAM that 7.0 does not have, and its count of fields.
func dropLaterFields(frames []frame) (kept []frame) {
	later := []string{"idmp-duration", "idmp-maxsize", "pids-tracked", "iids-tracked", "iids-added", "iids-duplicates"}
	for i, f := range frames {
		if follows(frames, i+1, later...) || follows(frames, i, later...) {
			continue
		}
		if i+1 < len(frames) && frames[i+1][0] == bulkString("length") {
			f = frame{"(fields)"}
		}
		kept = append(kept, f)
	}
	return kept
}
