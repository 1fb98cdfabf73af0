package keyargs

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/protocol"
)

// text is a line of a file in testdata.
type text struct {
	line  string // the command as it stands there
	args  [][]byte
	redis string // the error of Redis, or "fine"
	conch string // that of conch
}

// texts reads a file of testdata.
func texts(t testing.TB, name string) (all []text) {
	t.Helper()
	file, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	for line := range strings.Lines(string(file)) {
		if line = strings.TrimSuffix(line, "\n"); line == "" || line[0] == '#' {
			continue
		}
		parts := strings.Split(line, "\t")
		x := text{line: parts[0], redis: parts[1], conch: parts[len(parts)-1]}
		for _, word := range strings.Fields(parts[0]) {
			arg, err := strconv.Unquote(`"` + strings.Trim(word, `"`) + `"`)
			require.NoError(t, err, line)
			x.args = append(x.args, []byte(arg))
		}
		all = append(all, x)
	}
	return all
}

// parse parses a command as its handler does.
func parse(args [][]byte) *protocol.Error {
	const now = 1_700_000_000_000
	switch name := strings.ToLower(string(args[0])); name {
	case "xadd":
		return new(XAdd).Parse(args)
	case "xtrim":
		return new(XTrim).Parse(args)
	case "xrange", "xrevrange":
		return new(XRange).Parse(args, name == "xrevrange")
	case "xread":
		return new(XRead).Parse(args)
	case "xsetid":
		return new(XSetID).Parse(args)
	case "xdelex":
		return new(XDelEx).Parse(args)
	case "xcfgset":
		return new(XCfgSet).Parse(args)
	case "xfence":
		return new(XFence).Parse(args)
	case "xinfo":
		return new(XInfoStream).Parse(args)
	case "expire", "pexpire", "expireat", "pexpireat":
		form := ExpireForm{Seconds: name[0] != 'p', Absolute: strings.HasSuffix(name, "at")}
		return new(Expire).Parse(args, form, now, name)
	case "wait":
		return new(Wait).ParseWait(args)
	case "waitaof":
		return new(Wait).ParseWaitAOF(args)
	case "scan":
		return new(Scan).Parse(args)
	}
	return Flush(args)
}

func TestArgumentsGetTheTextsOfRedis(t *testing.T) {
	for _, file := range []string{"redis-7.0.txt", "redis-8.txt"} {
		for _, x := range texts(t, file) {
			got := "fine"
			if err := parse(x.args); err != nil {
				got = err.Error()
			}
			assert.Equal(t, x.conch, got, x.line)
		}
	}
}
