package outbox

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	numberedSize = len("UPDATE #101 a 101\n")
	slack        = len("<101\r\r\r") // some lines are longer, by less than makes a message
)

func TestHoles(t *testing.T) {
	for _, tt := range []struct {
		sentence string
		policy   Policy
		limit    int // in messages
		steps    func(b *bench)
		want     string // of lines: number, the one missed before it, topic; how many are missing of which
	}{
		{"without a loss nobody is told of one", DropOldest, 9, func(b *bench) { b.publish("a b a b") }, "101a 102b 103a 104b"},
		{"the first line behind what was cut says so", DropOldest, 2, func(b *bench) { b.publish("a a a a a") },
			"-2a 103<102a 104a 105a"},
		{"for each subscription", DropOldest, 2, func(b *bench) { b.publish("a b a b a b a") }, "-2a -2b 105<103a 106<104b 107a"},
		{"and the next one to come, if nothing is left", DropOldest, 1, func(b *bench) {
			b.publish("a b b")
			b.publish("b a")
		}, "-1a -2b 104<103b 105<101a"},
		{"what has been told is not told again", DropOldest, 2, func(b *bench) {
			b.publish("a a a a")
			b.drain()
			b.publish("a a")
		}, "-1a 102<101a 103a 104a 105a 106a"},
		{"a line that the writer has in hand is followed by the hole", DropOldest, 2, func(b *bench) {
			b.publish("a")
			b.write(5)
			b.publish("a a a a")
		}, "101a -2a 104<103a 105a"},
		{"what is not queued is told by the next line", DropNewest, 9, func(b *bench) {
			b.publish("a")
			b.miss("a b a")
			b.publish("a b a")
		}, "101a -2a -1b 105<104a 106<103b 107a"},
		{"of two losses the later one counts", DropOldest, 1, func(b *bench) {
			b.publish("a")
			b.miss("a")
			b.publish("a")
			b.publish("b b")
		}, "-3a 104b 105b"},
		{"also if the line says it already", DropOldest, 2, func(b *bench) {
			b.publish("a")
			b.miss("a")
			b.publish("a a a")
		}, "-2a 103<102a 104a 105a"},
	} {
		t.Run(tt.sentence, func(t *testing.T) {
			for _, w := range []Format{formatLFWithSeq, formatCRLFWithSeq} {
				b := newBench(t, tt.limit*numberedSize+slack, tt.policy, w)
				b.outbox.wantsSeq, b.published = true, 100
				tt.steps(b)
				b.drain()
				assert.Equal(t, tt.want, shortNumbered(b.got.String()))
				b.published -= 100
				dropped := make(map[string]int64)
				for topic, a := range b.accounts {
					dropped[topic] = a.Dropped
				}
				b.balanced(dropped)
			}
		})
	}
}

// shortNumbered is UPDATE #102<101 a 102 as 102<101a, and MISSED 2 a as -2a.
func shortNumbered(lines string) string {
	var short []string
	for line := range strings.Lines(lines) {
		words := strings.Fields(line)
		switch words[0] {
		case "MISSED":
			short = append(short, "-"+words[1]+words[2])
		case "UPDATE":
			short = append(short, words[1][1:]+words[2])
		}
	}
	return strings.Join(short, " ")
}

// A run is shared by all its receivers: the line that is written anew is written elsewhere.
func TestAHoleInsideASharedRun(t *testing.T) {
	const n = 400
	b := newBench(t, n/2*numberedSize, DropOldest, formatLFWithSeq)
	b.outbox.wantsSeq, b.published = true, 100
	in := b.run("a", n)
	in.Retain() // another receiver's
	before := string(in.Bytes)
	b.publish("b")
	lost := int(b.outbox.counts.Dropped)
	b.drain()
	assert.Equal(t, before, string(in.Bytes), "it is read by others")
	assert.EqualValues(t, 1, in.refs.Load(), "only the other receiver holds it still")
	short := shortNumbered(b.got.String())
	assert.True(t, strings.HasPrefix(short, fmt.Sprintf("-%da %d<%da %da ", lost, 101+lost, 100+lost, 102+lost)), short[:60])
	assert.True(t, strings.HasSuffix(short, " 499a 500a 501b"), short[len(short)-40:])
	b.published -= 100
	b.balanced(map[string]int64{"a": int64(lost)})
}

// The oracle of all that is above: a numbered line tells of the message before it exactly if that one has not come,
// whatever the policy, whenever numbers were asked for, and while a transaction holds back what is encoded already.
func TestSequencesAreAChain(t *testing.T) {
	seed := *outboxSeed
	if seed == 0 {
		seed = rand.Int64()
	}
	t.Logf("-outbox.seed=%d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 1)) //nolint:gosec // a test that is to be replayed
	told := 0
	for range 100 {
		b := newBench(t, 50+random.IntN(20_000), DropOldest, FormatLF)
		owed := make(map[string][]int) // numbers, by topic
		held := new(Unflushed)         // what a transaction sends to its own connection
		for range 30 + random.IntN(300) {
			switch random.IntN(20) {
			case 0:
				b.format = formatLFWithSeq
				b.outbox.wantsSeq = true
			case 1:
				b.format = FormatLF
			case 2:
				b.outbox.policyValue.Store(int32(1 + random.IntN(2))) //nolint:gosec // one of two
			}
			p, newest := new(Unflushed), 0
			executing := random.IntN(10) == 0
			if !executing { // whatever else is queued comes behind what EXEC held back
				b.outbox.Add(held, 0)
				held = new(Unflushed)
			}
			for range random.IntN(4) {
				if topic := string(rune('a' + random.IntN(3))); !executing {
					newest = b.some(random, p, topic, owed)
				} else {
					b.some(random, held, topic, owed)
				}
			}
			b.outbox.Add(p, newest)
			for n := random.IntN(3) * random.IntN(2000); n > 0 && b.writeOnce(&n); {
			}
		}
		b.outbox.Add(held, 0)
		b.drain()
		told += checkChain(t, owed, b.got.String())
		dropped := make(map[string]int64)
		for topic, a := range b.accounts {
			dropped[topic] = a.Dropped
		}
		b.balanced(dropped)
	}
	assert.Positive(t, told, "nothing was lost")
}

// some queues a message of a topic, or a run, or loses it as the core does, and returns its bytes.
func (b *bench) some(random *rand.Rand, p *Unflushed, topic string, owed map[string][]int) (size int) {
	n := 1 + random.IntN(40)*random.IntN(10)
	var frames []byte
	lost := b.outbox.Policy() == DropNewest && b.outbox.MessageBytes() > b.outbox.Limit
	a := b.account(topic)
	for i := range n {
		if lost {
			b.published++
			a.LastSeq, a.LastLostSeq = uint64(b.published), uint64(b.published) //nolint:gosec // a count
		} else {
			frame := b.frame(topic)
			if i > 0 {
				require.NotContains(b.t, string(frame), "<", "a run has no holes")
			}
			frames = append(frames, frame...)
		}
		owed[topic] = append(owed[topic], b.published)
	}
	e := b.entry(topic, n)
	if lost {
		e.Kind = KindMissed
	}
	p.Add(Fragment{Bytes: frames}, e)
	return len(frames)
}

// checkChain holds the numbered lines of each topic against what was owed, and counts those that tell of a loss.
func checkChain(t *testing.T, owed map[string][]int, got string) (told int) {
	t.Helper()
	came := make(map[int]bool)
	previous := make(map[int]int)
	for _, numbers := range owed {
		for i, n := range numbers[1:] {
			previous[n] = numbers[i]
		}
	}
	for line := range strings.Lines(got) {
		words := strings.Fields(line)
		if words[0] != "UPDATE" {
			continue
		}
		number, err := strconv.Atoi(words[len(words)-1])
		require.NoError(t, err)
		came[number] = true
		if len(words) == 3 { // without a number
			continue
		}
		want := fmt.Sprintf("#%d", number)
		if p := previous[number]; p != 0 && !came[p] {
			want += fmt.Sprintf("<%d", p)
			told++
		}
		require.Equal(t, want, words[1], line)
	}
	return told
}
