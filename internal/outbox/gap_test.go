package outbox

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/testseed"
	"github.com/conchmq/conch/protocol"
)

// bench is an outbox in a test that reads as a list of steps. Messages are numbered over all topics.
type bench struct {
	t         *testing.T
	outbox    *Outbox
	hand      WriteQueue
	format    Format
	accounts  map[string]*Account
	published int
	got       strings.Builder
}

func newBench(t *testing.T, limit int, p Policy, w Format) *bench {
	b := &bench{t: t, outbox: newOutbox(limit), format: w, accounts: make(map[string]*Account)}
	b.outbox.policyValue.Store(int32(p))
	return b
}

func (b *bench) account(topic string) *Account {
	if b.accounts[topic] == nil {
		b.accounts[topic] = &Account{name: topic}
	}
	return b.accounts[topic]
}

// frame is the next message to a topic. All have the same length, so that limits can be said in messages.
func (b *bench) frame(topic string) []byte {
	b.published++
	payload := fmt.Appendf(nil, "%03d", b.published)
	if b.format.IsLine() {
		return protocol.AppendUpdates(nil, []byte(topic), [][]byte{payload}, b.format.IsCRLF())
	}
	return b.format.Version().AppendMessage(nil, "message", []byte(topic), payload)
}

// entry says that the last n messages are those of a topic.
func (b *bench) entry(topic string, n int) FrameInfo {
	return FrameInfo{Account: b.account(topic), Count: int32(n), Format: b.format} //nolint:gosec // a count
}

// publish queues messages that lie side by side, in one round.
func (b *bench) publish(topics string) {
	p, arena, newest := new(Unflushed), make([]byte, 0, 1<<20), 0
	for _, topic := range strings.Fields(topics) {
		at := len(arena)
		if topic == "reply" {
			arena = append(arena, "+reply\r\n"...)
			p.Add(Fragment{Bytes: arena[at:]}, FrameInfo{Kind: KindReplies})
			continue
		}
		arena = append(arena, b.frame(topic)...)
		newest = len(arena) - at
		p.Add(Fragment{Bytes: arena[at:]}, b.entry(topic, 1))
	}
	b.outbox.Add(p, newest)
}

// run queues a run of n messages as one fragment in a buffer that others hold too.
func (b *bench) run(topic string, n int) *Buffer {
	var frames []byte
	for range n {
		frames = append(frames, b.frame(topic)...)
	}
	require.GreaterOrEqual(b.t, len(frames), minShared)
	in := &Buffer{Bytes: frames}
	in.refs.Store(1)
	p := new(Unflushed)
	p.Add(Fragment{Bytes: frames, Buf: in}, b.entry(topic, n))
	in.Release()
	b.outbox.Add(p, len(frames)/n)
	return in
}

// miss is what the core does with messages under drop-newest.
func (b *bench) miss(topics string) {
	p := new(Unflushed)
	for _, topic := range strings.Fields(topics) {
		b.published++
		e := b.entry(topic, 1)
		e.Kind = KindMissed
		p.Add(Fragment{}, e)
	}
	b.outbox.Add(p, 0)
}

// write has the kernel take so many bytes.
func (b *bench) write(n int) {
	for n > 0 {
		if b.hand.queue == nil || b.hand.First == nil {
			require.True(b.t, b.outbox.Dequeue(&b.hand, nil), "%d bytes less than expected", n)
		}
		part := min(n, len(b.hand.First.bytes)-b.hand.ChunkOffset)
		b.got.Write(b.hand.First.bytes[b.hand.ChunkOffset:][:part])
		b.outbox.MarkWritten(&b.hand, part)
		n -= part
	}
}

// drain has the kernel take all there is, and returns what it took from the start, without what is the same in each.
func (b *bench) drain() string {
	for {
		for b.hand.queue != nil && b.hand.First != nil {
			b.write(1)
		}
		if !b.outbox.Dequeue(&b.hand, nil) {
			return strings.Join(strings.Fields(short.Replace(b.got.String())), " ")
		}
	}
}

var short = strings.NewReplacer("UPDATE a 0", "a", "UPDATE b 0", "b", "+reply", "reply", "MISSED ", "-", " a\n", "a\n", " b\n", "b\n",
	"$7\r\nmessage\r\n", "", "$6\r\nmissed\r\n", "-", "*3\r\n", "", ">3\r\n", "", "$1\r\n", "", "$3\r\n0", "", "\r\n:", "")

const lineSize = len("UPDATE a 001\n")

func TestDropOldest(t *testing.T) {
	for _, tt := range []struct {
		sentence string
		limit    int // in messages
		steps    func(b *bench)
		want     string // of lines: topic and number; how many are missing of which
		dropped  map[string]int64
	}{
		{"an outbox under its limit takes one more", 2, func(b *bench) { b.publish("a a a") }, "a01 a02 a03", nil},
		{"then the oldest makes room, and a note stands in its place", 2, func(b *bench) { b.publish("a a a a") },
			"-1a a02 a03 a04", map[string]int64{"a": 1}},
		{"losses that follow each other are told as one", 2, func(b *bench) {
			for range 10 {
				b.publish("a")
			}
		}, "-7a a08 a09 a10", map[string]int64{"a": 7}},
		{"each subscription is told of its own", 2, func(b *bench) { b.publish("a b a b a b a b") }, "-3a -2b b06 a07 b08",
			map[string]int64{"a": 3, "b": 2}},
		{"and once for each place, however they take turns", 2, func(b *bench) {
			for range 10 {
				b.publish("a b")
			}
		}, "-9a -8b b18 a19 b20", map[string]int64{"a": 9, "b": 8}},
		{"replies are not dropped, and keep their places", 2, func(b *bench) { b.publish("reply a reply reply a a b reply b b") },
			"reply -1a reply reply -2a b04 reply b05 b06", map[string]int64{"a": 3}},
		{"when all between two gaps is lost, they are one", 1, func(b *bench) {
			b.publish("a a")
			b.miss("a")
			b.publish("b b")
		}, "-3a b04 b05", map[string]int64{"a": 3}},
		{"what the writer has begun is finished", 2, func(b *bench) {
			b.publish("a")
			b.write(5)
			b.publish("a a a a")
		}, "a01 -2a a04 a05", map[string]int64{"a": 2}},
		{"a note that is written is closed: the next loss is told anew", 2, func(b *bench) {
			b.publish("a a a a")
			b.write(len("MISSED 1 a\n") + 2*lineSize)
			b.publish("a a a a a a a")
		}, "-1a a02 a03 a04 -5a a10 a11", map[string]int64{"a": 6}},
		{"the newest goes too if there is no other way", 2, func(b *bench) {
			b.publish("a a a")
			b.write(1)
			b.publish("a")
			b.publish("b")
		}, "a01 a02 a03 -1a -1b", map[string]int64{"a": 1, "b": 1}},
		{"after a gap the outbox goes on as before", 2, func(b *bench) {
			b.publish("a a a a")
			b.drain()
			b.publish("a reply b")
		}, "-1a a02 a03 a04 a05 reply b06", map[string]int64{"a": 1}},
	} {
		t.Run(tt.sentence, func(t *testing.T) {
			b := newBench(t, tt.limit*lineSize, DropOldest, FormatLF)
			tt.steps(b)
			assert.Equal(t, tt.want, b.drain())
			b.balanced(tt.dropped)
		})
	}
}

// balanced holds that nothing waits any more and every message has had one end.
func (b *bench) balanced(dropped map[string]int64) {
	b.t.Helper()
	o := b.outbox
	for topic, a := range b.accounts {
		assert.Equal(b.t, dropped[topic], a.Dropped, topic)
		assert.Zero(b.t, a.Waiting(), topic)
	}
	assert.EqualValues(b.t, b.published, o.counts.Matched)
	assert.Zero(b.t, o.counts.Waiting())
	assert.Equal(b.t, o.counts.Delivered, o.totals.Delivered.Load())
	assert.Equal(b.t, o.counts.Dropped, o.totals.Dropped.Load())
	assert.Equal(b.t, o.counts.Undelivered, o.totals.Undelivered.Load())
	assert.Zero(b.t, o.bytes.Load(), "bytes that wait")
	assert.Zero(b.t, o.replies.Load())
	assert.Zero(b.t, o.gapBytes.Load())
	assert.Zero(b.t, o.overhead.Load(), "bytes of memory that are counted")
}

// A run is shared by all its receivers: who loses a part of it must not change it for the others.
func TestDropOldestInsideASharedRun(t *testing.T) {
	const n = 400
	b := newBench(t, n/2*lineSize, DropOldest, FormatLF)
	in := b.run("a", n)
	in.Retain() // another receiver's
	before := string(in.Bytes)
	b.publish("b")
	assert.Equal(t, before, string(in.Bytes), "it is read by others")
	assert.Equal(t, "UPDATE a "+fmt.Sprintf("%03d", b.outbox.counts.Dropped+1), string(b.outbox.all()[1].bytes[:12]), "and by us, where it is")
	got := b.drain()
	assert.True(t, strings.HasPrefix(got, fmt.Sprintf("-%da ", b.outbox.counts.Dropped)), got[:40])
	assert.True(t, strings.HasSuffix(got, " b 401"), got[len(got)-40:])
	assert.EqualValues(t, 1, in.refs.Load(), "only the other receiver holds it still")
	assert.EqualValues(t, n/2, b.outbox.counts.Dropped)
	b.balanced(map[string]int64{"a": b.outbox.counts.Dropped})
}

func TestDropNewest(t *testing.T) {
	b := newBench(t, 1000, DropNewest, FormatLF)
	b.publish("a")
	b.miss("a b a a b")
	b.publish("reply")
	b.miss("a")
	b.publish("b")
	b.miss("b")
	assert.Equal(t, "a01 -3a -2b reply -1a b08 -1b", b.drain())
	b.balanced(map[string]int64{"a": 4, "b": 3})
}

// RESP2 has no frame for it that its clients would not take for something else.
func TestMissedIsToldInTheFormOfTheSubscription(t *testing.T) {
	for w, want := range map[Format]string{
		FormatLF: "MISSED 3 a\n", FormatCRLF: "MISSED 3 a\r\n", FormatRESP2: "", FormatRESP3: ">3\r\n$6\r\nmissed\r\n$1\r\na\r\n:3\r\n",
	} {
		b := newBench(t, 0, DropNewest, w)
		b.miss("a a a")
		b.drain()
		assert.Equal(t, want, b.got.String())
		b.balanced(map[string]int64{"a": 3})

		b = newBench(t, 0, DropOldest, w)
		b.publish("a a a a")
		b.drain()
		b.published = 3
		assert.Equal(t, want+string(b.frame("a")), b.got.String())
		b.balanced(map[string]int64{"a": 3})
	}
}

// A connection that ends in the middle of a frame has got the frames before it, and not that one.
func TestTheEndInMidFrame(t *testing.T) {
	for _, tt := range []struct {
		sentence               string
		publish                string
		written                int
		delivered, undelivered int64
	}{
		{"nothing was written", "a a a", 0, 0, 3},
		{"a part of the first", "a a a", 1, 0, 3},
		{"all but its last byte", "a a a", lineSize - 1, 0, 3},
		{"just the first", "a a a", lineSize, 1, 2},
		{"a part of the second", "a a a", lineSize + 1, 1, 2},
		{"of another subscription", "a b b", 2*lineSize + 1, 2, 1},
		{"behind a reply", "a reply b b", 2*lineSize + 8 + 1, 2, 1},
		{"in a reply", "a reply b b", lineSize + 3, 1, 2},
		{"all", "a b", 2 * lineSize, 2, 0},
	} {
		t.Run(tt.sentence, func(t *testing.T) {
			for _, waits := range []string{"", "a b"} {
				b := newBench(t, 1<<20, Disconnect, FormatLF)
				b.publish(tt.publish)
				b.write(tt.written)
				b.publish(waits)
				b.outbox.Fail(&b.hand)
				b.publish("a") // too late
				undelivered := tt.undelivered + 1 + int64(len(strings.Fields(waits)))
				assert.Equal(t, DeliveryCounts{Matched: tt.delivered + undelivered, Delivered: tt.delivered, Undelivered: undelivered}, b.outbox.counts)
				for _, a := range b.accounts {
					assert.Zero(t, a.Waiting(), a.name)
				}
			}
		})
	}
}

// Replies keep notes apart for ever. There is a limit to that as well: see conn.Deliver.
func TestNotesAreWeighed(t *testing.T) {
	b := newBench(t, 0, DropOldest, FormatLF)
	for i := range 100 {
		b.publish("a reply b")
		assert.EqualValues(t, lossOverhead+1+i*2*(lossOverhead+1), b.outbox.gapBytes.Load())
	}
	b.drain()
	b.balanced(map[string]int64{"a": 100, "b": 99})
}

var outboxSeed = flag.Int64("outbox.seed", 0, "replay a run of TestWhatIsMissingIsToldInItsPlace")

// The oracle of all that is above: whatever is queued, dropped and written in whatever order, what comes out is what
// went in, in order, but for messages that a note counts between what came before them and what comes behind.
func TestWhatIsMissingIsToldInItsPlace(t *testing.T) {
	seed := *outboxSeed
	if seed == 0 {
		seed = int64(testseed.New())
	}
	t.Logf("-outbox.seed=%d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0)) //nolint:gosec // a test that is to be replayed
	for range 300 {
		b := newBench(t, 50+random.IntN(20_000), Policy(1+random.IntN(2)), FormatLF)
		var topics []string // of what is published, by its number; empty for a reply
		next := func() int { topics = append(topics, ""); return len(topics) }
		for range 30 + random.IntN(300) {
			p, newest := new(Unflushed), 0
			for range random.IntN(4) {
				topic := string(rune('a' + random.IntN(3)))
				e := FrameInfo{Account: b.account(topic), Format: FormatLF}
				switch {
				case random.IntN(4) == 0:
					p.Add(Fragment{Bytes: fmt.Appendf(nil, "+%d\r\n", next())}, FrameInfo{Kind: KindReplies})
					continue
				case b.outbox.Policy() == DropNewest && b.outbox.MessageBytes() > b.outbox.Limit:
					topics[next()-1] = topic
					e.Count, e.Kind = 1, KindMissed
					p.Add(Fragment{}, e)
				default:
					var frames []byte
					for e.Count = 0; int(e.Count) < 1+random.IntN(40)*random.IntN(10); e.Count++ {
						topics[next()-1] = topic
						frames = fmt.Appendf(frames, "UPDATE %s %d\n", topic, len(topics))
					}
					newest = len(frames)
					p.Add(Fragment{Bytes: frames}, e)
				}
				b.published += int(e.Count)
			}
			b.outbox.Add(p, newest)
			if int64(newest)+b.outbox.Limit < b.outbox.MessageBytes() && b.outbox.Policy() == DropOldest {
				require.NotNil(t, b.hand.queue, "over the limit, though nothing is being written")
			}
			for n := random.IntN(3) * random.IntN(2000); n > 0 && b.writeOnce(&n); {
			}
		}
		b.drain()
		checkPlaces(t, topics, b.got.String())
		dropped := make(map[string]int64)
		for topic, a := range b.accounts {
			dropped[topic] = a.Dropped
		}
		b.balanced(dropped)
	}
}

// writeOnce has the kernel take at most n bytes; false if there are none.
func (b *bench) writeOnce(n *int) bool {
	if (b.hand.queue == nil || b.hand.First == nil) && !b.outbox.Dequeue(&b.hand, nil) {
		return false
	}
	part := min(*n, len(b.hand.First.bytes)-b.hand.ChunkOffset)
	b.write(part)
	*n -= part
	return true
}

func checkPlaces(t *testing.T, topics []string, got string) {
	t.Helper()
	missing, told, last := make(map[string]int), make(map[string]int), 0
	upTo := func(n int) {
		for ; last < n-1; last++ {
			require.NotEmpty(t, topics[last], "reply %d is missing", last+1)
			missing[topics[last]]++
		}
		last = n
		require.Equal(t, missing, told, "in front of %d", n)
		clear(missing)
		clear(told)
	}
	for line := range strings.Lines(got) {
		words := strings.Fields(line)
		number, err := strconv.Atoi(strings.TrimPrefix(words[len(words)-1], "+"))
		switch words[0] {
		case "MISSED":
			n, err := strconv.Atoi(words[1])
			require.NoError(t, err)
			told[words[2]] += n // a note that the writer had dequeued is not added to
		case "UPDATE":
			require.NoError(t, err)
			require.Equal(t, topics[number-1], words[1])
			upTo(number)
		default:
			require.NoError(t, err)
			upTo(number)
		}
	}
	upTo(len(topics) + 1)
}

// A queue is a list whose chunks come and go anywhere, and whose front can be cut off.
func TestQueue(t *testing.T) {
	q, random := new(queue), rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	var want []*Chunk
	for i := range 5000 {
		c := &Chunk{bytes: make([]byte, 1+i%5)}
		at := random.IntN(len(want) + 1)
		switch {
		case i%3 < 2 && at < len(want):
			q.insert(want[at], c)
			want = slices.Insert(want, at, c)
		case i%3 < 2:
			q.push(c)
			want = append(want, c)
		case at < len(want):
			q.remove(want[at])
			want = slices.Delete(want, at, at+1)
		}
		if i%500 == 499 {
			front := q.split(1+random.IntN(2000), 0)
			got := inBothDirections(front)
			assert.Equal(t, want[:len(got)], got)
			assert.NotEmpty(t, got)
			want = want[len(got):]
		}
		require.Equal(t, len(want), q.length)
	}
	assert.Equal(t, want, inBothDirections(q))
}

// inBothDirections walks a queue both ways.
func inBothDirections(q *queue) (all []*Chunk) {
	var back []*Chunk
	for c := q.last; c != nil; c = c.prev {
		back = append(back, c)
	}
	for c := q.First; c != nil; c = c.Next {
		all = append(all, c)
	}
	slices.Reverse(back)
	if !slices.Equal(all, back) {
		return nil
	}
	return all
}
