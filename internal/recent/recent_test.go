package recent

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/testseed"
)

func memory() *outbox.MemoryLimit {
	m := new(outbox.MemoryLimit)
	m.Init(0)
	return m
}

// kept is one message as the tests compare it.
type kept struct {
	sequence       uint64
	topic, payload string
}

// all reads what is kept from a number on, as a reader does.
func all(m *Messages, from uint64) (found []kept) {
	for {
		c, _ := m.Chunk(from)
		if c == nil {
			return found
		}
		for r, message := c.Reader(), (Message{}); r.Next(&message); {
			if message.Sequence >= from {
				found = append(found, kept{message.Sequence, string(message.Topic), string(message.Payload)})
				from = message.Sequence + 1
			}
		}
		c.Release()
	}
}

// gone is the number of the newest message that is no longer kept.
func gone(m *Messages) uint64 {
	c, evicted := m.Chunk(0)
	if c != nil {
		c.Release()
	}
	return evicted
}

// What is kept is always the newest messages, whole and in order, within the bound.
func TestTheLatestMessagesAreKept(t *testing.T) {
	seed := testseed.New()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, limit := range []int{1, 5 << 10, 64 << 10, 300 << 10} {
		limits := memory()
		m := New(limit, 0, limits)
		var model []kept
		now, seq := time.Duration(0), uint64(0)
		for range 2000 {
			seq += 1 + uint64(rng.IntN(3)/2) // shards have numbers, too
			now += time.Duration(rng.IntN(5000)) * time.Microsecond
			topic := strings.Repeat("t", rng.IntN(20))
			var payloads [][]byte
			first := seq
			for range 1 + rng.IntN(3) {
				size := rng.IntN(200)
				switch rng.IntN(100) {
				case 0:
					size = outbox.LargePayload + rng.IntN(1000)
				case 1:
					size = rng.IntN(outbox.LargePayload)
				}
				payload := bytes.Repeat([]byte{byte(rng.Uint32())}, size)
				payloads = append(payloads, payload)
				model = append(model, kept{first + uint64(len(payloads)) - 1, topic, string(payload)})
			}
			var source *outbox.Buffer
			if rng.IntN(2) == 0 {
				source = outbox.WrapBuffer(limits, bytes.Join(payloads, nil))
				at := 0
				for i := range payloads {
					payloads[i] = source.Bytes[at : at+len(payloads[i])]
					at += len(payloads[i])
				}
			}
			m.Append(now, first, []byte(topic), payloads, source)
			source.Release()
			seq += uint64(len(payloads)) - 1
			require.LessOrEqual(t, m.bytes, limit)
			require.LessOrEqual(t, limits.Used(), int64(m.bytes), "a buffer that two messages share is charged once")
		}
		found := all(m, 0)
		require.Equal(t, append([]kept(nil), model[len(model)-len(found):]...), found)
		evicted := gone(m)
		if len(found) < len(model) {
			require.Equal(t, model[len(model)-len(found)-1].sequence, evicted)
		}
		if limit > 100<<10 {
			assert.Greater(t, len(found), 10)
		}
		for range 100 {
			from := rng.Uint64N(seq + 2)
			require.Equal(t, after(found, from), all(m, from), "from %d", from)
		}
		m.Close()
		assert.Zero(t, limits.Used())
	}
}

func after(messages []kept, from uint64) (rest []kept) {
	for _, k := range messages {
		if k.sequence >= from {
			rest = append(rest, k)
		}
	}
	return rest
}

// A chunk that is retained stays as it is, whatever the core appends, and is charged until it is released.
func TestARetainedChunkStays(t *testing.T) {
	limits := memory()
	m := New(64<<10, 0, limits)
	m.Append(0, 1, []byte("a"), [][]byte{[]byte("first")}, nil)
	c, _ := m.Chunk(1)
	for i := range 1000 {
		m.Append(0, uint64(i+2), []byte("b"), [][]byte{make([]byte, 1000)}, nil)
	}
	assert.Greater(t, gone(m), uint64(1))
	r, message := c.Reader(), Message{}
	require.True(t, r.Next(&message))
	assert.Equal(t, "first", string(message.Payload))
	assert.EqualValues(t, m.Stats().Bytes+4096, limits.Used())
	c.Release()
	assert.EqualValues(t, m.Stats().Bytes, limits.Used())
	m.Close()
}

func TestSince(t *testing.T) {
	m := New(1<<20, 0, memory())
	assert.EqualValues(t, 1, m.Since(0))
	for i := range 5000 {
		m.Append(time.Duration(i/10)*time.Second, uint64(i+1), []byte("a"), [][]byte{make([]byte, 50)}, nil)
	}
	for _, second := range []int{0, 1, 7, 250, 499} {
		assert.EqualValues(t, second*10+1, m.Since(time.Duration(second)*time.Second))
		assert.EqualValues(t, second*10+11, m.Since(time.Duration(second)*time.Second+time.Millisecond))
	}
	assert.EqualValues(t, 1, m.Since(-time.Hour))
	assert.EqualValues(t, 5001, m.Since(time.Hour))
	m.Close()
}

func TestBefore(t *testing.T) {
	m := New(64<<10, 0, memory())
	assert.Nil(t, m.Before(100))
	for i := range 500 {
		m.Append(0, uint64(i+1), []byte("a"), [][]byte{make([]byte, 100)}, nil)
	}
	assert.Nil(t, m.Before(1))
	var firsts []uint64
	for c := m.Before(501); c != nil; c = m.Before(c.First()) {
		firsts = append(firsts, c.First())
		c.Release()
	}
	for i, first := range firsts[1:] {
		c, _ := m.Chunk(first)
		assert.Equal(t, firsts[i]-1, c.Last())
		assert.Equal(t, first-1, c.Before())
		c.Release()
	}
	assert.EqualValues(t, 1, firsts[len(firsts)-1])
	m.Close()
}

// Readers follow the core: each sees every message once, or that it was overtaken.
func TestReadersFollow(t *testing.T) {
	m := New(128<<10, 0, memory())
	const messages = 50_000
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for next := uint64(1); next <= messages; {
				c, evicted := m.Chunk(next)
				if c == nil {
					continue
				}
				for r, message := c.Reader(), (Message{}); r.Next(&message); {
					if message.Sequence < next {
						continue
					}
					if message.Sequence != next && evicted < message.Sequence-1 {
						t.Errorf("%d follows %d, and %d is the last that is gone", message.Sequence, next-1, evicted)
					}
					if want := fmt.Sprint(message.Sequence); string(message.Payload) != want {
						t.Errorf("message %s is %q", want, message.Payload)
					}
					next = message.Sequence + 1
				}
				c.Release()
			}
		})
	}
	for i := uint64(1); i <= messages; i++ {
		m.Append(time.Duration(i), i, []byte("topic"), [][]byte{fmt.Append(nil, i)}, nil)
	}
	readers.Wait()
	m.Close()
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{64, 1 << 10} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			m := New(64<<20, 0, memory())
			topic, payloads := []byte("orders"), [][]byte{make([]byte, size)}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			seq := uint64(0)
			for b.Loop() {
				seq++
				m.Append(time.Duration(seq), seq, topic, payloads, nil)
			}
			m.Close()
		})
	}
}
