package command

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
)

// counting is a predicate that counts how often it is evaluated.
type counting struct{ times atomic.Int64 }

func (c *counting) Match(any) broker.Verdict { c.times.Add(1); return broker.Unreadable }

// participant is a subscriber or a publisher that is no connection. The core's goroutine counts.
type participant struct {
	broker.NopConn
	got, published, receivers int
	applied                   chan struct{} // never full
}

func newParticipant() *participant { return &participant{applied: make(chan struct{}, 1<<16)} }

func (p *participant) Deliver(*broker.Message, *broker.Subscription) bool { p.got++; return false }
func (p *participant) Applied(*broker.Batch)                              { p.applied <- struct{}{} }
func (p *participant) Published(_ *broker.Request, n int, m *broker.Message) {
	receivers := m.Receivers
	p.published += n
	p.receivers += receivers
}

// subscribe makes a participant with a predicate on a topic, which has taken effect.
func subscribe(t *testing.T, s *Service, name string, p broker.Predicate) *participant {
	t.Helper()
	topic, _, _ := strings.Cut(name, " ")
	r := broker.Request{Op: broker.Subscribe, Names: [][]byte{[]byte(name)}, Filters: []broker.Filter{{Predicate: p, TopicLen: len(topic)}}}
	sub := newParticipant()
	require.True(t, s.core.Submit(&broker.Batch{From: broker.NewSubscriber(sub), Requests: []broker.Request{r}}))
	<-sub.applied
	return sub
}

func publishTo(topic string, payloads ...string) broker.Request {
	r := broker.Request{Op: broker.Publish, Names: [][]byte{[]byte(topic)}}
	for _, payload := range payloads {
		r.Payloads = append(r.Payloads, []byte(payload))
	}
	return r
}

// A message is judged once, when it goes: not when it is queued in MULTI, nor when it is refused.
func TestEachMessageIsJudgedOnce(t *testing.T) {
	many := strings.Repeat("PUB orders x\n", 100)
	for _, tt := range []struct {
		name, sent string
		judged     int64
	}{
		{"lines", many, 100},
		{"RESP", strings.Repeat("PUBLISH orders x\r\n", 100), 100},
		{"queued, and run", "MULTI\r\nPUBLISH orders x\r\nPUBLISH quiet x\r\nPUBLISH orders x\r\nEXEC\r\nPUBLISH orders x\r\n", 3},
		{"queued, and discarded", "MULTI\r\nPUBLISH orders x\r\nDISCARD\r\nPUBLISH orders x\r\n", 1},
		{"queued, and not run for an error", "MULTI\r\nPUBLISH orders x\r\nnosuch\r\nEXEC\r\nPUBLISH orders x\r\n", 1},
		{"queued, and reset", "MULTI\r\nPUBLISH orders x\r\nRESET\r\nPUBLISH orders x\r\n", 1},
		{"two transactions", strings.Repeat("MULTI\r\nPUBLISH orders x\r\nEXEC\r\n", 2), 2},
		{"nested", "MULTI\r\nMULTI\r\nPUBLISH orders x\r\nEXEC\r\n", 1},
		{"lines inside", "MULTI\r\nPUB orders x\r\nPUBLISH orders x\r\nEXEC\r\n", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := servePipes(t, 1)[0]
			p := new(counting)
			subscribe(t, c.service, "orders x", p)
			go func() { _, _ = io.WriteString(c.sock, tt.sent+"PING\r\n") }()
			for line := ""; line != "+PONG\r\n"; {
				var err error
				line, err = c.from.ReadString('\n')
				require.NoError(t, err)
			}
			assert.Equal(t, tt.judged, p.times.Load())
		})
	}
}

// A subscriber that waits for a grace period notices its end, whatever holds the grace period up.
func TestASubscriberThatWaitsEnds(t *testing.T) {
	for name, end := range map[string]func(p *pipe){
		"closed by its client": func(p *pipe) { _ = p.sock.Close() },
		"killed":               func(p *pipe) { p.submitEvict(CloseReasonKilled) },
		"with the server":      func(p *pipe) { p.service.Stop() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t, Options{Unprotected: true})
				p := newPipe(t, s)
				require.True(t, s.Add(&p.Conn))
				ended := make(chan struct{})
				go func() { defer close(ended); p.serve() }()
				go func() { _, _ = io.Copy(io.Discard, p.sock) }()
				version := s.versions.enter()
				_, err := fmt.Fprintln(p.sock, "SUB orders WHERE n == 1")
				require.NoError(t, err)
				synctest.Wait()
				require.Equal(t, 1, p.reaches("orders"), "it waits")
				end(p)
				<-ended
				synctest.Wait() // the core hands out its index at the end of the round
				assert.Zero(t, p.reaches("orders"))
				s.versions.leave(version)
			})
		})
	}
}

// What a client sends behind a subscribe that waits takes effect behind it, though it may have closed its side.
func TestWhatIsBehindASubscribeThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := servePipes(t, 1)[0]
		version := p.service.versions.enter()
		_, err := io.WriteString(p.sock, "SUB orders WHERE n == 1\nPUB orders {\"n\":1}\nPUB orders x\n")
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, 1, p.reaches("orders"))
		p.service.versions.leave(version)
		for _, want := range []string{"OK SUB orders WHERE n == 1\n", "OK PUB orders\n", "UPDATE orders {\"n\":1}\n", "OK PUB orders\n"} {
			line, err := p.from.ReadString('\n')
			require.NoError(t, err)
			assert.Equal(t, want, line)
		}
	})
}

// Four kinds of publishers, while predicates come and go all the time: connections, their transactions, publishers that are
// no connections, and a stage that feeds the core from a log. The core panics if a publish lacks a verdict. What subscribers get
// is what publishers are told.
func TestPublishersOfAllKindsWhilePredicatesCome(t *testing.T) {
	const rounds = 150
	all := servePipes(t, 6)
	s := all[0].service
	log, batches := make(chan *broker.Batch, 4), make(map[*participant]int)
	var publishing, coming sync.WaitGroup
	var participants []*participant
	publisher := func(submit func(*broker.Batch) bool) {
		me := newParticipant()
		from := broker.NewSubscriber(me)
		participants = append(participants, me)
		batches[me] = rounds
		publishing.Go(func() {
			for i := range rounds {
				requests := []broker.Request{publishTo("orders", numbered(i)), publishTo("quiet", "x", "y"), publishTo("orders", numbered(i), numbered(i+1))}
				assert.True(t, submit(&broker.Batch{From: from, Requests: requests}))
				<-me.applied
			}
		})
	}
	for range 2 {
		publisher(s.NewPublisher().Submit)
	}
	publisher(func(b *broker.Batch) bool { log <- b; return true })
	stage := s.NewPublisher()
	var staged sync.WaitGroup
	staged.Go(func() {
		for b := range log {
			assert.True(t, stage.Submit(b))
		}
	})
	for i, p := range all[:2] {
		publishing.Go(func() {
			for n := range rounds {
				text, lines := "PUB orders "+numbered(n)+"\n", 1
				if i == 1 {
					text, lines = "MULTI\r\nPUBLISH orders "+`"{\"n\":1}"`+"\r\nEXEC\r\n", 4
				}
				_, err := io.WriteString(p.sock, text)
				assert.NoError(t, err)
				for range lines {
					_, err := p.from.ReadString('\n')
					assert.NoError(t, err)
				}
			}
		})
	}
	stop := make(chan struct{})
	for who, p := range all[2:] {
		coming.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprintf("orders WHERE n == %d", 1_000_000+i*10+who)
				if rand.IntN(3) == 0 {
					name = "o* WHERE n < 0" // that others may have
				}
				if name[1] == '*' {
					p.say("PSUB "+name, "PUNSUB "+name)
				} else {
					p.say("SUB "+name, "UNSUB "+name)
				}
				runtime.Gosched()
			}
		})
	}
	witness := subscribe(t, s, "orders x", new(counting))
	publishing.Wait()
	close(log)
	staged.Wait()
	close(stop)
	coming.Wait()
	s.runOnCore(func(broker.View) {
		assert.Zero(t, witness.got)
		for _, p := range participants {
			assert.Equal(t, 5*batches[p], p.published)
			assert.Zero(t, p.receivers)
		}
	})
	assert.Equal(t, 1, all[0].reaches("orders"))
}

func numbered(n int) string { return fmt.Sprintf(`{"n":%d}`, n) }
