package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheckFillsInTheDefaults(t *testing.T) {
	l := Load{Address: ":8889"}
	require.NoError(t, l.Check())
	assert.Equal(t, Load{
		Address: ":8889", Publishers: 1, Subscribers: 1, Topics: 1, Prefix: "bench:", Size: Range{64, 64}, Pipeline: 64,
		Duration: 10 * time.Second, InFlight: 32768,
	}, l)
	assert.Equal(t, "resp2, 1 publisher to 1 subscriber over 1 topic, 64 B payload, up to 64 commands a write, "+
		"as fast as they go, at most 32768 messages in flight", l.Words())
}

// The messages in flight are bounded in bytes, but each publisher can write at least once.
func TestDefaultInFlight(t *testing.T) {
	for _, c := range []struct {
		load Load
		want int
	}{
		{Load{Size: Range{Min: 16 << 10}}, 255},
		{Load{Size: Range{Min: 1 << 20}}, 64},
		{Load{Size: Range{Min: 1 << 20}, Publishers: 8, Pipeline: 4}, 32},
		{Load{Subscribers: 1000}, 2097},
		{Load{Size: Range{64, 192}}, 21845},
	} {
		assert.Equal(t, c.want, loadOf(t, c.load).InFlight, "%+v", c.load)
	}
}

func TestCheckRefuses(t *testing.T) {
	for want, l := range map[string]Load{
		`"8889" is not an address; expected host:port`:                                            {Address: "8889"},
		"publishers is -1, expected 1 to 4096":                                                    {Publishers: -1},
		"publishers is 5000, expected 1 to 4096":                                                  {Publishers: 5000},
		"subscribers is -1, expected 1 to 65536":                                                  {Subscribers: -1},
		"topics is -1, expected 1 to 1048576":                                                     {Topics: -1},
		"pipeline is 100000, expected 1 to 65536":                                                 {Pipeline: 100_000},
		"size is 23 bytes; a payload needs at least 24, for the stamp that every message carries": {Size: Range{Min: 23}},
		"largest size is 24, expected 25 to 536870912":                                            {Size: Range{25, 24}},
		"in-flight is 3, expected 4 to 1073741824":                                                {Publishers: 4, InFlight: 3},
		"rate is -1, expected 0 to 1e9 messages a second":                                         {Rate: -1},
		"duration and warm-up together are 48h0m0s, expected 1ms to 24h0m0s":                      {Duration: 48 * time.Hour},
		"duration and warm-up together are 1µs, expected 1ms to 24h0m0s":                          {Duration: time.Microsecond},
		"Dialect(9) is unknown":                                                                   {Dialect: 9},
		"the relay takes messages of one size only":                                               {Dialect: Raw, Size: Range{24, 25}},
		"4 subscribers cannot be spread evenly over 3 topics":                                     {Subscribers: 4, Topics: 3, Spread: true},
		"the relay has no topics: it takes no load that is spread over them":                      {Dialect: Raw, Subscribers: 2, Topics: 2, Spread: true},
		"pid is -1, expected 0 to 1073741824":                                                     {PID: -1},
	} {
		if l.Address == "" {
			l.Address = "127.0.0.1:1"
		}
		assert.EqualError(t, l.Check(), want)
	}
}

func TestParseDialect(t *testing.T) {
	for _, d := range dialects {
		got, err := ParseDialect(d.String())
		assert.NoError(t, err)
		assert.Equal(t, d, got)
		text, err := d.MarshalText()
		assert.NoError(t, err)
		assert.NoError(t, got.UnmarshalText(text))
		assert.Equal(t, d, got)
	}
	_, err := ParseDialect("stomp")
	assert.EqualError(t, err, `expected resp2, resp3, line, nats or raw, not "stomp"`)
}

// The exact bytes of publishers and subscribers.
func TestFramesOnTheWire(t *testing.T) {
	for d, want := range map[Dialect][2]string{
		RESP2: {"*3\r\n$7\r\nPUBLISH\r\n$7\r\nbench:0\r\n$26\r\n", "*3\r\n$7\r\nmessage\r\n$7\r\nbench:0\r\n$26\r\n"},
		RESP3: {"*3\r\n$7\r\nPUBLISH\r\n$7\r\nbench:0\r\n$26\r\n", ">3\r\n$7\r\nmessage\r\n$7\r\nbench:0\r\n$26\r\n"},
		Line:  {"PUB bench:0 ", "UPDATE bench:0 "},
		NATS:  {"PUB bench:0 26\r\n", "MSG bench:0 bench:0 26\r\n"},
		Raw:   {"*3\r\n$7\r\nmessage\r\n$7\r\nbench:0\r\n$26\r\n", "*3\r\n$7\r\nmessage\r\n$7\r\nbench:0\r\n$26\r\n"},
	} {
		w := newLayout(loadOf(t, Load{Dialect: d, Size: Range{Min: 26}}))
		w.mark = [8]byte{'m', 'm', 'm', 'm', 'm', 'm', 'm', 'm'}
		f := newFrames(w, 1, 2)
		b := f.next(5, 2, func(sequence int) time.Duration { return time.Duration(sequence) })
		end := "ab\r\n"
		if d == Line {
			end = "ab\n"
		}
		assert.Equal(t, want[0]+"01000005"+"00000005"+"mmmmmmmm"+end+want[0]+"01000006"+"00000006"+"mmmmmmmm"+end, string(b))
		assert.Equal(t, want[1], w.message[0])
	}
}

// All sizes of a range, both ends included, are equally frequent on every topic.
func TestSizes(t *testing.T) {
	all := sizes(Range{100, 700})
	assert.Len(t, all, numSizes)
	assert.Contains(t, all, 100)
	assert.Contains(t, all, 700)
	assert.InDelta(t, 400, (&layout{sizes: all}).meanSize(), 1)
	for _, topics := range []int{1, 2, 10, 60, 62, 100} {
		seen := map[[2]int]bool{}
		for n := range numSizes * topics {
			seen[[2]int{n % topics, n % numSizes}] = true
		}
		assert.Len(t, seen, numSizes*topics)
	}
}
