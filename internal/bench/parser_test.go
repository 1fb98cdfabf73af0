package bench

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// delivered returns the bytes that a subscriber receives: the commands of frames, with the headers of messages.
func delivered(w *layout, publisher, first, n int) []byte {
	as := *w
	as.publish = w.message
	f := newFrames(&as, publisher, n)
	b := f.next(first, n, func(sequence int) time.Duration { return time.Duration(sequence+1) * time.Millisecond })
	return bytes.Clone(b)
}

// loadOf returns a small checked load.
func loadOf(t testing.TB, l Load) *Load {
	t.Helper()
	l.Address = "127.0.0.1:1"
	require.NoError(t, l.Check())
	return &l
}

// measuring returns publishers whose measured part begins with a message.
func measuring(publishers, first int) []atomic.Int64 {
	firsts := make([]atomic.Int64, publishers)
	for i := range firsts {
		firsts[i].Store(int64(first))
	}
	return firsts
}

var shapes = []struct {
	name string
	load Load
}{
	{"one topic, one size", Load{}},
	{"the smallest payload", Load{Size: Range{Min: stampLen}}},
	{"topics in turn", Load{Topics: 11}},
	{"a range of sizes", Load{Size: Range{24, 300}}},
	{"both, two publishers", Load{Topics: 3, Size: Range{24, 300}, Publishers: 2}},
}

var dialects = []Dialect{RESP2, RESP3, Line, NATS, Raw}

// everyShape runs a test for each dialect and each of its layouts.
func everyShape(t *testing.T, test func(t *testing.T, l *Load)) {
	for _, d := range dialects {
		for _, shape := range shapes {
			l := shape.load
			if l.Dialect = d; d == Raw && l.Size.Max > 0 {
				continue
			}
			t.Run(fmt.Sprintf("%v, %s", d, shape.name), func(t *testing.T) { test(t, loadOf(t, l)) })
		}
	}
}

// feed passes bytes to a parser in two reads, as a subscriber does.
func feed(p *parser, b []byte, cut int) error {
	var times []time.Duration
	used, err := p.parse(b[:cut])
	times = append(times, p.times...)
	if err == nil {
		var rest int
		rest, err = p.parse(b[used:])
		times = append(times, p.times...)
		if used += rest; err == nil && used != len(b) {
			err = fmt.Errorf("%d of %d bytes used", used, len(b))
		}
	}
	p.times = times
	return err
}

// The messages and their times do not depend on the ends of reads.
func TestParserSplitAnywhere(t *testing.T) {
	everyShape(t, func(t *testing.T, l *Load) {
		w := newLayout(l)
		var b []byte
		for publisher := range l.Publishers {
			b = append(b, delivered(w, publisher, 0, 5)...)
		}
		for cut := range len(b) + 1 {
			p := newParser(w, measuring(l.Publishers, 2), true)
			require.NoError(t, feed(p, b, cut), "cut at %d", cut)
			for publisher := range p.from {
				require.Equal(t, 5, p.from[publisher].next, "cut at %d", cut)
			}
			require.Zero(t, p.lost)
			require.Len(t, p.times, 3*l.Publishers, "cut at %d", cut)
			require.Equal(t, []time.Duration{3 * time.Millisecond, 4 * time.Millisecond, 5 * time.Millisecond}, p.times[:3])
		}
	})
}

// In a spread load a subscriber gets each fourth message of a publisher here, and the others are no loss.
func TestParserOfASpreadLoad(t *testing.T) {
	w := newLayout(loadOf(t, Load{Publishers: 3, Subscribers: 8, Topics: 4, Spread: true, Size: Range{24, 300}}))
	p := newParser(w, measuring(3, 8), true)
	p.follow(6) // topic 2: messages 1, 5, 9, … of publisher 1
	assert.Equal(t, []int{2, 1, 0}, []int{p.from[0].next, p.from[1].next, p.from[2].next})
	for _, n := range []int{1, 5, 9, 21} {
		_, err := p.parse(delivered(w, 1, n, 1))
		require.NoError(t, err)
	}
	assert.Equal(t, 25, p.from[1].next)
	assert.EqualValues(t, 2, p.lost, "13 and 17")
	assert.EqualValues(t, 2, p.lostMeasured)
	_, err := p.parse(delivered(w, 1, 26, 1))
	assert.ErrorContains(t, err, "message 26 of publisher 1 came, whose topic bench:3 has another subscriber")
}

// Without a rate, only the first and the last message of a read are recorded.
func TestParserSamples(t *testing.T) {
	w := newLayout(loadOf(t, Load{}))
	length := len(delivered(w, 0, 0, 1))
	for n, want := range map[int][]time.Duration{0: {}, 1: {1}, 2: {1, 2}, 3: {1, 3}, 50: {1, 50}} {
		p := newParser(w, measuring(1, 0), false)
		_, err := p.parse(delivered(w, 0, 0, 50)[:n*length])
		require.NoError(t, err)
		require.Len(t, p.times, len(want))
		for i := range want {
			assert.Equal(t, want[i]*time.Millisecond, p.times[i])
		}
	}
}

// The parser checks every byte of a header, and the identity in a stamp.
func TestParserNoticesAWrongByte(t *testing.T) {
	everyShape(t, func(t *testing.T, l *Load) {
		w := newLayout(l)
		b := delivered(w, 0, 0, 2)
		head := len(w.message[0]) + len(w.sizeText[0])
		if l.Topics > 1 {
			assert.NotEqual(t, w.message[0], w.message[1])
		}
		for i := range head + stampLen {
			if head+8 <= i && i < head+16 {
				continue // the time
			}
			wrong := bytes.Clone(b)
			wrong[i] ^= 0x01
			p := newParser(w, measuring(l.Publishers, 0), true)
			used, err := p.parse(wrong)
			if err == nil && p.lost == 0 { // a byte that looks like the beginning of a line, or moves the end of the frame
				assert.Zero(t, p.from[0].next, "byte %d of %q", i, b)
				assert.Less(t, used, len(b))
			}
		}
	})
}

// Skipped messages count as lost, those of the measured part separately.
func TestParserCountsAGap(t *testing.T) {
	everyShape(t, func(t *testing.T, l *Load) {
		w := newLayout(l)
		p := newParser(w, measuring(l.Publishers, 10), true)
		_, err := p.parse(append(delivered(w, 0, 0, 3), delivered(w, 0, 5, 3)...))
		require.NoError(t, err)
		assert.EqualValues(t, 2, p.lost)
		assert.Zero(t, p.lostMeasured)
		_, err = p.parse(delivered(w, 0, 13, 2))
		require.NoError(t, err)
		assert.EqualValues(t, 2+5, p.lost)
		assert.EqualValues(t, 3, p.lostMeasured)
		assert.Equal(t, 15, p.from[0].next)
	})
}

func TestParserEndsOnABrokenOrder(t *testing.T) {
	everyShape(t, func(t *testing.T, l *Load) {
		w := newLayout(l)
		for _, again := range []int{0, 2} {
			p := newParser(w, measuring(l.Publishers, 0), true)
			_, err := p.parse(append(delivered(w, 0, 0, 3), delivered(w, 0, again, 1)...))
			assert.EqualError(t, err, fmt.Sprintf("message %d of publisher 0 came where 3 was due: repeated, or out of order", again))
		}
	})
}

// Lines of servers between messages.
func TestParserStrays(t *testing.T) {
	for _, c := range []struct {
		dialect    Dialect
		text, want string // want is the error; empty: the line is skipped
		pings      int
	}{
		{RESP2, "-ERR max clients\r\n", "the server replied: -ERR max clients", 0},
		{RESP3, "-ERR you are too slow\r\n", "the server replied: -ERR you are too slow", 0},
		{Line, "ERR too slow\n", "the server replied: ERR too slow", 0},
		{NATS, "-ERR 'Slow Consumer'\r\n", "the server replied: -ERR 'Slow Consumer'", 0},
		{NATS, "PING\r\n", "", 1},
		{NATS, "PING\r\nPING\r\n", "", 2},
		{NATS, "INFO {\"x\":1}\r\n", "", 0},
		{NATS, "+OK\r\n", "", 0},
		{RESP2, ":1\r\n", "got what is no message of this run: \":1\\r\\n\"", 0},
		{RESP2, "+PONG\r\n", "got what is no message of this run", 0},
		{Line, "UPDATE bench:0 hello, this is somebody else, who is not of this run\n", "got what is no message of this run", 0},
		{NATS, strings.Repeat("x", maxStray+1), "got what is no message of this run", 0},
	} {
		t.Run(fmt.Sprintf("%v %.20q", c.dialect, c.text), func(t *testing.T) {
			w := newLayout(loadOf(t, Load{Dialect: c.dialect}))
			b := append(delivered(w, 0, 0, 2), c.text...)
			if c.want == "" {
				b = append(b, delivered(w, 0, 2, 2)...)
			}
			for cut := range len(b) + 1 {
				p := newParser(w, measuring(1, 0), true)
				err := feed(p, b, cut)
				if c.want != "" {
					require.ErrorContains(t, err, c.want, "cut at %d", cut)
					continue
				}
				require.NoError(t, err, "cut at %d", cut)
				require.Equal(t, 4, p.from[0].next)
				require.Equal(t, c.pings, p.pings)
			}
		})
	}
}

func TestReplies(t *testing.T) {
	for _, c := range []struct {
		dialect Dialect
		text    string
		used    int
		want    answers
		err     string
	}{
		{RESP2, ":1\r\n:100\r\n:", 10, answers{replies: 2}, ""},
		{RESP2, ":1\r\n-ERR no\r\n", 13, answers{replies: 1}, "the server replied: -ERR no"},
		{RESP3, "+OK\r\n", 5, answers{}, "the server replied: +OK"},
		{Line, "OK PUB bench:0\nOK PUB", 15, answers{replies: 1}, ""},
		{Line, "ERR no\n", 7, answers{}, "the server replied: ERR no"},
		{NATS, "PING\r\nINFO {}\r\nPING\r\n", 21, answers{pings: 2}, ""},
		{NATS, "-ERR 'no'\r\n", 11, answers{}, "the server replied: -ERR 'no'"},
		{Raw, ":1\r\n", 4, answers{}, "the server replied: :1"},
		{RESP2, "", 0, answers{}, ""},
		{RESP2, strings.Repeat(":", maxStray+1), 0, answers{}, "a reply does not end"},
	} {
		used, got, err := replies(c.dialect, []byte(c.text))
		assert.Equal(t, c.used, used, c.text)
		assert.Equal(t, c.want, got, c.text)
		if c.err == "" {
			assert.NoError(t, err)
		} else {
			assert.EqualError(t, err, c.err)
		}
	}
}

// FuzzParser checks that a parser neither panics nor hangs nor consumes bytes beyond the input, for any input and any end
// of a read.
func FuzzParser(f *testing.F) {
	for d := range dialects {
		w := newLayout(loadOf(f, Load{Dialect: Dialect(d)}))
		f.Add(d, delivered(w, 0, 0, 3), 50)
		f.Add(d, []byte("-ERR\r\nPING\r\n"+strings.Repeat("*3\r\n", 100)), 3)
		f.Add(d, []byte("*3\r\n$7\r\nmessage\r\n$7\r\nbench:0\r\n$9223372036854775807\r\n"), 20)
	}
	f.Fuzz(func(t *testing.T, d int, b []byte, cut int) {
		l := loadOf(t, Load{Dialect: dialects[uint(d)%uint(len(dialects)-1)], Size: Range{24, 100}, Topics: 3})
		w := newLayout(l)
		whole, halves := newParser(w, measuring(1, 0), true), newParser(w, measuring(1, 0), true)
		used, err := whole.parse(b)
		require.LessOrEqual(t, used, len(b))
		cut = min(len(b), int(uint(cut)%uint(len(b)+1)))
		used2, err2 := halves.parse(b[:cut])
		if err2 == nil {
			_, err2 = halves.parse(b[used2:])
		}
		require.Equal(t, err == nil, err2 == nil, "%v, %v", err, err2)
		require.Equal(t, whole.from[0].next, halves.from[0].next)
	})
}

func BenchmarkParser(b *testing.B) {
	const n = 1024
	for _, d := range dialects {
		for _, shape := range shapes {
			l := shape.load
			if l.Dialect = d; d == Raw && l.Size.Max > 0 {
				continue
			}
			b.Run(fmt.Sprintf("%v/%s", d, strings.ReplaceAll(shape.name, " ", "-")), func(b *testing.B) {
				w := newLayout(loadOf(b, l))
				frames := delivered(w, 0, 0, n)
				p := newParser(w, measuring(max(l.Publishers, 1), 0), false)
				b.SetBytes(int64(len(frames) / n))
				b.ReportAllocs()
				for left := b.N; left > 0; left -= n {
					p.from[0].jump(w, 0, 0)
					if _, err := p.parse(frames); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkFrames(b *testing.B) {
	for _, shape := range shapes {
		b.Run(strings.ReplaceAll(shape.name, " ", "-"), func(b *testing.B) {
			w := newLayout(loadOf(b, shape.load))
			f := newFrames(w, 0, defaultPipeline)
			b.ReportAllocs()
			for n := 0; n < b.N; n += defaultPipeline {
				f.next(n, defaultPipeline, func(int) time.Duration { return time.Duration(n) })
			}
		})
	}
}
