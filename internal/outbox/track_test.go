package outbox

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/conchmq/conch/internal/testseed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var trackSeed = flag.Uint64("track.seed", 0, "replays a run of the model of positions")

// trackBench is a connection with one subscription whose position is kept, in front of a replay, and another one.
type trackBench struct {
	*bench
	track *Track
	mark  Mark
	next  int // the number of the next message
	// queued are the numbers of the messages of the subscription.
	queued map[int]bool
}

func newTrackBench(t *testing.T, limit int, p Policy, position int) *trackBench {
	b := &trackBench{bench: newBench(t, limit, p, FormatLF), track: NewTrack(uint64(position)), next: position + 1, queued: map[int]bool{}} //nolint:gosec // a number
	b.account("a").Track = b.track
	return b
}

// numbered is a frame of a topic with a number, of lineSize bytes.
func numbered(topic string, n int) []byte { return fmt.Appendf(nil, "UPDATE %s %03d\n", topic, n) }

// deliver queues the next messages of the topics, in one round.
func (b *trackBench) deliver(topics string) {
	p := NewUnflushed()
	for _, topic := range topics {
		p.Add(Fragment{Bytes: numbered(string(topic), b.next)}, b.entry(string(topic), 1))
		if topic == 'a' {
			p.Stamp(b.track, uint64(b.next), 1) //nolint:gosec // a number
			b.queued[b.next] = true
		}
		b.next++
	}
	b.outbox.Add(p, lineSize)
}

// replay queues messages of the past, in front of the mark if there is one. The next one that it looks at is next.
func (b *trackBench) replay(next int, numbers ...int) {
	p, m := NewUnflushed(), &b.mark
	if m.chunk == nil {
		m = nil
	}
	for _, n := range numbers {
		p.Add(Fragment{Bytes: numbered("a", n)}, FrameInfo{Account: b.account("a"), Count: 1, Kind: KindReplayed})
		p.Stamp(b.track, uint64(n), 1) //nolint:gosec // a number
		b.queued[n] = true
	}
	if ok, _ := b.outbox.AddReplay(p, m, nil); ok {
		b.outbox.Replays(b.track, uint64(next)) //nolint:gosec // a number
	}
}

func (b *trackBench) position() int {
	p, _, _ := b.outbox.Position(b.track)
	return int(p) //nolint:gosec // a number
}

// The position is in front of the oldest message that waits, whoever else has messages there.
func TestPositionFollowsTheKernel(t *testing.T) {
	b := newTrackBench(t, 1<<20, Disconnect, 10)
	assert.Equal(t, 10, b.position())
	b.deliver("aba")
	assert.Equal(t, 10, b.position())
	b.write(lineSize - 1)
	assert.Equal(t, 10, b.position(), "a message is taken with its last byte")
	b.write(1)
	assert.Equal(t, 12, b.position(), "12 is not for the subscription")
	b.write(lineSize)
	assert.Equal(t, 12, b.position())
	b.write(lineSize)
	assert.Equal(t, 13, b.position())
	b.outbox.LookedAt(b.track, 20)
	assert.Equal(t, 20, b.position())
	assert.Zero(t, b.track.live.list, "it takes no memory")
}

// A message that is lost with its connection holds the position, and so does one that comes too late.
func TestPositionAtTheEnd(t *testing.T) {
	for _, test := range []struct {
		sentence string
		written  int
		want     int
	}{
		{"nothing", 0, 10},
		{"a part", lineSize + 1, 11},
		{"two of three, which are one entry", 2*lineSize + 3, 12},
		{"all", 3 * lineSize, 13},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			b := newTrackBench(t, 1<<20, Disconnect, 10)
			b.deliver("aaa")
			b.write(test.written)
			b.outbox.Fail(&b.hand)
			assert.Equal(t, test.want, b.position())
			b.deliver("a")
			b.outbox.LookedAt(b.track, 50)
			assert.Equal(t, test.want, b.position())
			assert.Zero(t, b.outbox.overhead.Load())
		})
	}
}

// What the core queues behind a replay does not move the position while the replay goes on.
func TestPositionDuringAReplay(t *testing.T) {
	b := newTrackBench(t, 1<<20, Disconnect, 10)
	b.outbox.Replays(b.track, 11)
	b.next = 31
	b.replay(21, 12, 14)
	assert.Equal(t, 11, b.position())
	b.write(2 * lineSize)
	assert.Equal(t, 20, b.position(), "the replay has passed it: nothing there was for the subscription")
	b.outbox.AddMark(&b.mark) // the join, with a rest
	b.outbox.LookedAt(b.track, 30)
	b.deliver("a")
	assert.Equal(t, 20, b.position())
	b.replay(31, 25)
	assert.Equal(t, 24, b.position())
	b.outbox.Replays(b.track, 0)
	b.outbox.RemoveMark(&b.mark)
	b.write(lineSize)
	assert.Equal(t, 30, b.position())
	b.write(lineSize)
	assert.Equal(t, 31, b.position())
}

// What drop-oldest drops is passed with the messages that wait behind it.
func TestPositionPassesDroppedMessages(t *testing.T) {
	b := newTrackBench(t, 2*lineSize, DropOldest, 10)
	b.deliver("aaa")
	b.deliver("aaa")
	assert.Equal(t, 10, b.position())
	require.Contains(t, b.drain(), "-3a a14 a15 a16")
	assert.Equal(t, 16, b.position())
	assert.Zero(t, b.track.live.list)
}

// Of a subscriber that ends before it has them, they come again.
func TestPositionBeforeDroppedMessages(t *testing.T) {
	b := newTrackBench(t, 2*lineSize, DropOldest, 10)
	b.deliver("aaa")
	b.deliver("aaa")
	b.outbox.Evict(anySocket{}, nil)
	b.outbox.Fail(&b.hand)
	assert.Equal(t, 10, b.position())
}

// Whatever is queued, dropped and written: no message that the kernel lacks is passed, but for dropped ones with others behind them;
// and when nothing waits, all are.
func TestPositionModel(t *testing.T) {
	seed := *trackSeed
	if seed == 0 {
		seed = testseed.New()
	}
	t.Logf("-track.seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		runPositionModel(t, r)
	}
}

func runPositionModel(t *testing.T, r *rand.Rand) {
	b := newTrackBench(t, 1<<20, Disconnect, 100)
	b.outbox.Replays(b.track, 101)
	b.next = 131
	at, joined, ended := 101, false, false
	for range 60 {
		switch n := r.IntN(10); {
		case n < 3 && at < 131: // the replay goes on
			from := at
			at += 1 + r.IntN(131-at)
			var numbers []int
			for n := from; n < at; n++ {
				if r.IntN(2) == 0 {
					numbers = append(numbers, n)
				}
			}
			b.replay(at, numbers...)
		case n < 4 && !joined:
			joined = true
			b.outbox.AddMark(&b.mark)
			b.outbox.LookedAt(b.track, 130)
		case n < 6 && joined:
			b.deliver([]string{"a", "ab", "ba", "aab"}[r.IntN(4)])
		case n < 7 && at == 131 && joined && !ended:
			ended = true
			b.outbox.Replays(b.track, 0)
			b.outbox.RemoveMark(&b.mark)
		default:
			b.writeSome(r)
		}
		require.LessOrEqual(t, b.position(), b.passed(at, ended))
	}
	if !ended {
		return
	}
	b.drain()
	require.GreaterOrEqual(t, b.position(), max(130, slices.Max(append(slices.Collect(maps.Keys(b.queued)), 0))))
	require.Zero(t, b.track.live.count+b.track.replayed.count)
}

// writeSome has the kernel take a part of what it can get.
func (b *trackBench) writeSome(r *rand.Rand) {
	if b.hand.queue == nil || b.hand.First == nil {
		if !b.outbox.Dequeue(&b.hand, nil) {
			return
		}
	}
	b.write(1 + r.IntN(len(b.hand.First.bytes)-b.hand.ChunkOffset))
}

// passed is how far a position may be: in front of the oldest message that was not written, and that the replay has yet to look at.
func (b *trackBench) passed(at int, ended bool) int {
	last := b.next - 1
	if !ended {
		last = at - 1
	}
	for n := range b.queued {
		if !strings.Contains(b.got.String(), string(numbered("a", n))) {
			last = min(last, n-1)
		}
	}
	return last
}
