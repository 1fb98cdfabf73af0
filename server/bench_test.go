package server_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/invariant"
	"github.com/conchmq/conch/server"
)

// load is one publisher and some subscribers over loopback. Its ends allocate nothing while it runs.
type load struct {
	publisher   *harness.Conn
	subscribers []*harness.Conn
	write       []byte // some messages in one write
	messages    int    // so many
	frame       int    // bytes that a subscriber gets for each
}

func newLoad(t testing.TB, subscribers, size, pipeline, recent int) *load {
	s := harness.Start(t, server.Options{SlowHard: 1 << 30, SlowSoft: 1 << 30, Recent: recent})
	l := &load{publisher: s.Dial(t), messages: pipeline}
	for range subscribers {
		c := s.Dial(t)
		c.Send("%s", harness.RESP("SUBSCRIBE", "news"))
		_, err := c.Frame()
		require.NoError(t, err)
		l.subscribers = append(l.subscribers, c)
	}
	one := harness.RESP("PUBLISH", "news", strings.Repeat("x", size))
	l.write, l.frame = []byte(strings.Repeat(one, pipeline)), len(one)
	return l
}

// run publishes n messages, a write at a time, and returns once they are everywhere. Few writes are under way at once,
// so that the sockets' buffers are what holds the publisher back, and not the limit of an outbox.
func (l *load) run(t testing.TB, n int) {
	writes := n / l.messages
	var ends sync.WaitGroup
	window := make(chan struct{}, 16)
	read := func(c *harness.Conn, bytes int, each func()) {
		buf, unit := make([]byte, 64<<10), bytes/writes
		for got, told := 0, 0; got < bytes; {
			k, err := c.Read(buf[:min(len(buf), bytes-got)])
			if err != nil {
				t.Error(err)
				return
			}
			for got += k; told < got/unit; told++ {
				each()
			}
		}
	}
	for i, c := range l.subscribers {
		ends.Go(func() {
			read(c, writes*l.messages*l.frame, func() {
				if i == 0 {
					<-window
				}
			})
		})
	}
	replies := l.messages * len(fmt.Sprintf(":%d\r\n", len(l.subscribers)))
	ends.Go(func() { read(l.publisher, writes*replies, func() {}) })
	for range writes {
		window <- struct{}{}
		if _, err := l.publisher.Write(l.write); err != nil {
			t.Error(err)
			break
		}
	}
	ends.Wait()
}

// The whole path over loopback, both ends in this process. One operation is one message to all its subscribers.
func BenchmarkLoopback(b *testing.B) {
	for _, bm := range []struct{ subscribers, size, pipeline int }{
		{1, 64, 64}, {100, 64, 64}, {1, 64, 1}, {1, 16 << 10, 4},
	} {
		b.Run(fmt.Sprintf("subscribers=%d/size=%d/pipeline=%d", bm.subscribers, bm.size, bm.pipeline), func(b *testing.B) {
			l := newLoad(b, bm.subscribers, bm.size, bm.pipeline, 0)
			b.SetBytes(int64(bm.size * bm.subscribers))
			b.ReportAllocs()
			b.ResetTimer()
			l.run(b, max(b.N, bm.pipeline))
		})
	}
}

// What keeping the latest messages costs a publisher with one subscriber.
func BenchmarkRecent(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 16 << 10, 256 << 10} {
		for _, recent := range []int{0, 64 << 20} {
			b.Run(fmt.Sprintf("size=%d/recent=%dMiB", size, recent>>20), func(b *testing.B) {
				pipeline := max(1, min(64, 64<<10/size))
				l := newLoad(b, 1, size, pipeline, recent)
				b.SetBytes(int64(size))
				b.ResetTimer()
				l.run(b, max(b.N, pipeline))
			})
		}
	}
}

// What predicates cost on the whole way: one subscriber holds so many on the topic, of which one lets every message pass.
// One operation is one message of 190 bytes, 64 in a write. 0 is the same without any, beside 10,000 on other topics.
func BenchmarkPredicates(b *testing.B) {
	payload := fmt.Sprintf(`{"price":150,"region":"eu-west","user":{"id":4711,"name":"Ann"},"note":"%s"}`, strings.Repeat("x", 113))
	for _, n := range []int{0, 1, 100, 10_000} {
		b.Run(fmt.Sprintf("predicates=%d", n), func(b *testing.B) {
			s := harness.Start(b, server.Options{SlowHard: 1 << 30, SlowSoft: 1 << 30, MaxPredicates: 10_000})
			subscriber := s.Dial(b)
			hold := func(name string) {
				subscriber.Command("SUB", name)
				assert.Equal(b, "+OK SUB "+name, subscriber.Line())
			}
			for i := range n {
				hold(fmt.Sprintf(`news WHERE user.id == %d && price > 100 && region == "eu-west"`, 4711+i))
			}
			if n == 0 {
				for i := range 10_000 {
					hold(fmt.Sprintf("other-%d WHERE price > 100", i))
				}
				hold("news")
			}
			one := harness.RESP("PUBLISH", "news", payload)
			l := &load{
				publisher: s.Dial(b), subscribers: []*harness.Conn{subscriber}, messages: 64,
				write: []byte(strings.Repeat(one, 64)), frame: len(one),
			}
			b.ReportAllocs()
			b.ResetTimer()
			l.run(b, max(b.N, l.messages))
		})
	}
}

// In the steady state no message gets memory of its own: buffers go round. Fresh ones for each read once cost more than all
// copying.
func TestTheSteadyStateAllocatesNothing(t *testing.T) {
	if invariant.On {
		t.Skip("the race detector's builds allocate for themselves")
	}
	for _, size := range []int{64, 16 << 10} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			l := newLoad(t, 3, size, 16, 0)
			l.run(t, 2_000) // pools fill
			var before, after runtime.MemStats
			const messages = 20_000
			runtime.ReadMemStats(&before)
			l.run(t, messages)
			runtime.ReadMemStats(&after)
			// Writers' goroutines are started, lists of chunks grow, and now and then a collection empties the pools.
			each := float64(after.Mallocs-before.Mallocs) / messages
			bytes := float64(after.TotalAlloc-before.TotalAlloc) / messages
			t.Logf("%.3f allocations and %.0f bytes a message", each, bytes)
			assert.Less(t, bytes, float64(size)/2+512)
		})
	}
}

// One operation is one message, answered before the next one is sent, to a topic with one predicate, while five subscribers
// subscribe and leave all the time: with new predicates on the topic, or without any. What counts is p99. At full speed they
// take both processors of a small machine, whatever they subscribe to; paced, each of them does so 200 times a second.
func BenchmarkPublishWhilePredicatesCome(b *testing.B) {
	for _, bm := range []struct {
		name, subscribe string
		pause           time.Duration
	}{
		{name: "nobody"}, {"plain", "SUB other-%d\nUNSUB\n", 0}, {"predicates", "SUB orders WHERE n < -%d\nUNSUB\n", 0},
		{"plain-paced", "SUB other-%d\nUNSUB\n", 5 * time.Millisecond}, {"predicates-paced", "SUB orders WHERE n < -%d\nUNSUB\n", 5 * time.Millisecond},
	} {
		b.Run(bm.name, func(b *testing.B) {
			s := harness.Start(b, server.Options{})
			s.Dial(b).Send("SUB orders WHERE n < 0\n")
			stop := make(chan struct{})
			var running sync.WaitGroup
			for who := range 5 {
				if bm.subscribe == "" {
					break
				}
				c := s.Dial(b)
				running.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
						}
						c.Send(bm.subscribe, 1+i*5+who)
						c.Line()
						c.Line()
						<-time.After(bm.pause)
					}
				})
			}
			p, took := s.Dial(b), make([]time.Duration, 0, b.N)
			b.ResetTimer()
			for range b.N {
				begin := time.Now()
				p.Send("%s", harness.RESP("PUBLISH", "orders", `{"n":1}`))
				p.Expect(":0\r\n")
				took = append(took, time.Since(begin))
			}
			b.StopTimer()
			close(stop)
			running.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
