package keyargs

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/stream"
)

// words splits a command at its spaces.
func words(command string) [][]byte {
	var args [][]byte
	for _, word := range strings.Fields(command) {
		args = append(args, []byte(word))
	}
	return args
}

func TestXAdd(t *testing.T) {
	tests := map[string]XAdd{
		"XADD s * a b": {AddOptions: stream.AddOptions{Auto: true}},
		"XADD s 5-* a b": {AddOptions: stream.AddOptions{
			ID: stream.ID{Ms: 5}, AutoSeq: true,
		}},
		"XADD s 5 a b":            {AddOptions: stream.AddOptions{ID: stream.ID{Ms: 5}}},
		"XADD s NOMKSTREAM * a b": {AddOptions: stream.AddOptions{Auto: true, NoMkStream: true}},
		"XADD s MAXLEN ~ 7 LIMIT 3 ACKED 5-6 a b": {AddOptions: stream.AddOptions{
			ID: stream.ID{Ms: 5, Seq: 6}, Refs: stream.Acked,
			Trim: stream.TrimOptions{Kind: stream.TrimMaxLen, Approx: true, MaxLen: 7, Limit: 3, Refs: stream.Acked},
		}},
		"XADD s MINID 7-1 * a b": {AddOptions: stream.AddOptions{
			Auto: true, Trim: stream.TrimOptions{Kind: stream.TrimMinID, MinID: stream.ID{Ms: 7, Seq: 1}},
		}},
		"XADD s IDMP p i * a b": {AddOptions: stream.AddOptions{
			Auto: true, Idempotent: true, Producer: stream.HashID([]byte("p")), Message: stream.HashID([]byte("i")),
		}},
		"XADD s IDMPAUTO p * a b": {AddOptions: stream.AddOptions{
			Auto: true, Idempotent: true, Producer: stream.HashID([]byte("p")), Message: stream.HashFields(words("a b")),
		}},
	}
	for command, want := range tests {
		var got XAdd
		require.Nil(t, got.Parse(words(command)), command)
		want.Key, want.Fields = []byte("s"), words("a b")
		assert.Equal(t, want, got, command)
	}
}

func TestXTrim(t *testing.T) {
	for options, want := range map[string]stream.TrimOptions{
		"MAXLEN 7":           {Kind: stream.TrimMaxLen, MaxLen: 7},
		"MAXLEN = 7":         {Kind: stream.TrimMaxLen, MaxLen: 7},
		"MAXLEN ~ 7":         {Kind: stream.TrimMaxLen, MaxLen: 7, Approx: true, Limit: 10_000},
		"MAXLEN ~ 7 LIMIT 0": {Kind: stream.TrimMaxLen, MaxLen: 7, Approx: true},
		"LIMIT 5 MINID ~ 7":  {Kind: stream.TrimMinID, MinID: stream.ID{Ms: 7}, Approx: true, Limit: 5},
		"DELREF MINID 7-8":   {Kind: stream.TrimMinID, MinID: stream.ID{Ms: 7, Seq: 8}, Refs: stream.DelRef},
	} {
		var got XTrim
		require.Nil(t, got.Parse(words("XTRIM s "+options)), options)
		assert.Equal(t, XTrim{Key: []byte("s"), Trim: want}, got, options)
	}
}

func TestXRange(t *testing.T) {
	last := uint64(math.MaxUint64)
	for options, want := range map[string]XRange{
		"- +":          {From: stream.MinID, To: stream.MaxID, Count: -1},
		"5 6":          {From: stream.ID{Ms: 5}, To: stream.ID{Ms: 6, Seq: last}, Count: -1},
		"(5-1 (6-1":    {From: stream.ID{Ms: 5, Seq: 2}, To: stream.ID{Ms: 6}, Count: -1},
		"(5 (6":        {From: stream.ID{Ms: 5, Seq: 1}, To: stream.ID{Ms: 6, Seq: last - 1}, Count: -1},
		"- (6-0":       {From: stream.MinID, To: stream.ID{Ms: 5, Seq: last}, Count: -1},
		"- + COUNT 5":  {From: stream.MinID, To: stream.MaxID, Count: 5},
		"- + COUNT 0":  {From: stream.MinID, To: stream.MaxID},
		"- + COUNT -5": {From: stream.MinID, To: stream.MaxID},
	} {
		var got XRange
		want.Key = []byte("s")
		require.Nil(t, got.Parse(words("XRANGE s "+options), false), options)
		assert.Equal(t, want, got, options)

		args := words("XREVRANGE s " + options)
		args[2], args[3], want.Reverse = args[3], args[2], true
		require.Nil(t, got.Parse(args, true), options)
		assert.Equal(t, want, got, "XREVRANGE, for %s", options)
	}
}

func TestXRead(t *testing.T) {
	for command, want := range map[string]XRead{
		"XREAD STREAMS s 5-6": {Keys: words("s"), After: []After{{ID: stream.ID{Ms: 5, Seq: 6}}}},
		"XREAD COUNT 7 MAXCOUNT 8 MAXSIZE 9 STREAMS a b $ +": {
			Count: 7, MaxCount: 8, MaxSize: 9, Keys: words("a b"), After: []After{{Kind: AfterLast}, {Kind: LastEntry}},
		},
		"XREAD BLOCK 0 STREAMS s 5":           {Blocks: true, Keys: words("s"), After: []After{{ID: stream.ID{Ms: 5}}}},
		"XREAD BLOCK 10 COUNT -1 STREAMS s 5": {Blocks: true, Timeout: 10, Keys: words("s"), After: []After{{ID: stream.ID{Ms: 5}}}},
		// A key may have the name of an option: it is the parser that finds the keys.
		"XREAD COUNT 1 STREAMS STREAMS COUNT 5 6": {
			Count: 1, Keys: words("STREAMS COUNT"), After: []After{{ID: stream.ID{Ms: 5}}, {ID: stream.ID{Ms: 6}}},
		},
	} {
		var got XRead
		require.Nil(t, got.Parse(words(command)), command)
		assert.Equal(t, want, got, command)
	}
}

func TestAWrongXReadHasNoKeysButThoseThatItWouldRead(t *testing.T) {
	for _, command := range []string{"XREAD COUNT STREAMS s 5", "XREAD STREAMS a b 5", "XREAD NOACK STREAMS a 5", "XREAD COUNT 1"} {
		var got XRead
		require.NotNil(t, got.Parse(words(command)), command)
		assert.Empty(t, got.Keys, command)
	}
}

func TestCommandsAreBounded(t *testing.T) {
	args := words("XREAD STREAMS" + strings.Repeat(" s", 10_001) + strings.Repeat(" 0", 10_001))
	assert.Equal(t, errManyStreams, new(XRead).Parse(args))
	args = words("XDELEX s IDS 10001" + strings.Repeat(" 1-1", 10_001))
	assert.Equal(t, errManyIDs, new(XDelEx).Parse(args))
}

func TestXDelEx(t *testing.T) {
	for _, options := range []string{"ACKED IDS 2 5 6-7", "IDS 2 5 6-7 ACKED"} {
		var got XDelEx
		require.Nil(t, got.Parse(words("XDELEX s "+options)))
		assert.Equal(t, XDelEx{Key: []byte("s"), Refs: stream.Acked, IDs: []stream.ID{{Ms: 5}, {Ms: 6, Seq: 7}}}, got, options)
	}
}

func TestIDs(t *testing.T) {
	got, err := IDs(nil, words("5 6-7"))
	assert.Nil(t, err)
	assert.Equal(t, []stream.ID{{Ms: 5}, {Ms: 6, Seq: 7}}, got)
	for _, wrong := range []string{"x", "5 x", "5-*", "-"} {
		_, err = IDs(nil, words(wrong))
		assert.EqualError(t, err, "ERR "+string(stream.ErrInvalidID), wrong)
		assert.Equal(t, err, CheckIDs(words(wrong)), wrong)
	}
}

func TestXSetIDAndXCfgSet(t *testing.T) {
	var set XSetID
	require.Nil(t, set.Parse(words("XSETID s 5-6 MAXDELETEDID 4-3 ENTRIESADDED 7")))
	assert.Equal(t, stream.SetIDOptions{ID: stream.ID{Ms: 5, Seq: 6}, EntriesAdded: 7, MaxDeleted: stream.ID{Ms: 4, Seq: 3}}, set.SetIDOptions)
	require.Nil(t, set.Parse(words("XSETID s 5")))
	assert.Equal(t, stream.SetIDOptions{ID: stream.ID{Ms: 5}, EntriesAdded: -1}, set.SetIDOptions)

	var cfg XCfgSet
	require.Nil(t, cfg.Parse(words("XCFGSET s IDMP-MAXSIZE 7")))
	assert.Equal(t, XCfgSet{Key: []byte("s"), MaxSize: 7}, cfg)
	require.Nil(t, cfg.Parse(words("XCFGSET s IDMP-MAXSIZE 7 IDMP-DURATION 8")))
	assert.Equal(t, XCfgSet{Key: []byte("s"), MaxSize: 7, Duration: 8}, cfg)
}

func TestXInfoStream(t *testing.T) {
	for options, want := range map[string]XInfoStream{
		"": {Count: 10}, " FULL": {Full: true, Count: 10}, " FULL COUNT 0": {Full: true}, " FULL COUNT -1": {Full: true, Count: 10},
		" full count 3": {Full: true, Count: 3},
	} {
		var got XInfoStream
		want.Key = []byte("s")
		require.Nil(t, got.Parse(words("XINFO STREAM s"+options)))
		assert.Equal(t, want, got, options)
	}
}

func TestExpire(t *testing.T) {
	const now = 1_000_000
	for _, test := range []struct {
		form ExpireForm
		time string
		want int64
	}{
		{ExpireForm{Seconds: true}, "5", now + 5000},
		{ExpireForm{Seconds: true}, "-5", now - 5000},
		{ExpireForm{}, "5", now + 5},
		{ExpireForm{Seconds: true, Absolute: true}, "5", 5000},
		{ExpireForm{Absolute: true}, "5", 5},
	} {
		var got Expire
		require.Nil(t, got.Parse(words("x s "+test.time), test.form, now, "x"))
		assert.Equal(t, test.want, got.At, "%+v", test)
	}
}

func TestWhatExpireAllows(t *testing.T) {
	const none, earlier, same, later = 0, 50, 100, 150
	for options, want := range map[string]map[int64]bool{
		"":      {none: true, earlier: true, same: true, later: true},
		"NX":    {none: true, earlier: false, same: false, later: false},
		"XX":    {none: false, earlier: true, same: true, later: true},
		"GT":    {none: false, earlier: true, same: false, later: false},
		"LT":    {none: true, earlier: false, same: false, later: true},
		"XX GT": {none: false, earlier: true, same: false, later: false},
		"XX LT": {none: false, earlier: false, same: false, later: true},
	} {
		var x Expire
		require.Nil(t, x.Parse(words("pexpireat s 100 "+options), ExpireForm{Absolute: true}, 0, "pexpireat"))
		for deadline, allowed := range want {
			assert.Equal(t, allowed, x.Allows(deadline), "%q, at %d", options, deadline)
		}
	}
}

func TestScan(t *testing.T) {
	var got Scan
	require.Nil(t, got.Parse(words("SCAN 7 TYPE x COUNT 5 MATCH a*")))
	assert.Equal(t, Scan{Cursor: 7, Match: []byte("a*"), Count: 5, Type: []byte("x")}, got)
	require.Nil(t, got.Parse(words("SCAN -1")))
	assert.Equal(t, Scan{Cursor: math.MaxUint64, Count: 10}, got)
}

func TestTheUsualCommandsAllocateNothing(t *testing.T) {
	add, idmp, read := words("XADD s MAXLEN ~ 5 IF-LAST 0 FENCE 5 1-1 a b"), words("XADD s IDMP p i * a b"), words("XRANGE s - (5 COUNT 10")
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		var x XAdd
		_ = x.Parse(add)
		_ = x.Parse(idmp)
		var r XRange
		_ = r.Parse(read, false)
	}))
}

// Whatever a client sends: no panic, and either an error or keys that it named.
func FuzzParse(f *testing.F) {
	for _, file := range []string{"redis-7.0.txt", "redis-8.txt"} {
		for _, x := range texts(f, file) {
			f.Add(x.line)
		}
	}
	f.Add("XDELEX s IDS 9223372036854775807 1-1")
	f.Add("XADD s MAXLEN ~ 0 LIMIT 9223372036854775807 * a b")
	f.Fuzz(func(t *testing.T, command string) {
		args := words(command)
		if len(args) == 0 {
			return
		}
		least := map[string]int{"xadd": 5, "xtrim": 4, "xrange": 4, "xrevrange": 4, "xread": 4, "xsetid": 3, "xdelex": 5, "xcfgset": 2, "xfence": 2,
			"xinfo": 3, "expire": 3, "pexpire": 3, "expireat": 3, "pexpireat": 3, "scan": 2, "flushall": 1}[strings.ToLower(string(args[0]))]
		if least == 0 || len(args) < least {
			return
		}
		err := parse(args)
		var x XRead
		if is(args[0], "XREAD") && x.Parse(args) == nil {
			assert.Nil(t, err)
			n := len(args) - len(x.Keys)
			assert.Equal(t, args[n-len(x.Keys):n], x.Keys, "the keys stand in front of as many ids")
		}
	})
}

// Whatever READ gets: no panic, and names and numbers within their bounds.
func FuzzRead(f *testing.F) {
	for _, line := range []string{
		"READ orders returns FROM #2", "READ or* LAST 10 WHERE price > 100", "READ count COUNT 5", "READ a FROM", "READ a LAST 99999", "READ a FROM GROUP g",
		"READ a FROM 0 LAST 1", "READ a COUNT 9223372036854775808", "READ a NOSUCH 1", "READ \x00 WHERE",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, command string) {
		args := words(command)
		if len(args) < 2 {
			return
		}
		var x Read
		if x.Parse(args) != nil {
			return
		}
		assert.NotEmpty(t, x.Names)
		assert.LessOrEqual(t, len(x.Names), maxReadNames)
		assert.Equal(t, args[1:1+len(x.Names)], x.Names, "the names stand in front of all options")
		assert.True(t, x.Last >= 0 && x.Last <= maxReadLast && x.Count >= 0)
		assert.False(t, x.From != nil && x.Last != 0)
	})
}
