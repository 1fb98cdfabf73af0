package server_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// allocated is how many bytes of memory were asked for while f ran, freed ones included.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc) //nolint:gosec // of a test
}

// A large message is read once and stays where it is, whatever it matches: a copy for each of 100 patterns took 1.6 GiB
// and 9.7 s of everybody's time.
func TestALargeMessageIsNotCopiedForEachPattern(t *testing.T) {
	const size, patterns = 4 << 20, 100
	message := harness.RESP("PUBLISH", "a", strings.Repeat("x", size))
	for _, tt := range []struct {
		sentence    string
		subscribers int
		each        int    // patterns
		before      string // that each subscriber sends
		undelivered int
	}{
		{"of one subscriber, which is over its limit with the first", 1, patterns, "", patterns},
		{"in RESP3", 1, patterns, "HELLO 3\r\n", patterns},
		{"with sequence numbers", 1, patterns, "HELLO 3\r\nCLIENT CAPA seq\r\n", patterns},
		{"of many subscribers", patterns, 1, "", 0},
	} {
		t.Run(tt.sentence, func(t *testing.T) {
			s := harness.Start(t, server.Options{SlowHard: 1 << 20})
			for i := range tt.subscribers {
				c := s.Dial(t)
				c.Send("%s", tt.before)
				for j := range tt.each {
					c.Command("PSUBSCRIBE", fmt.Sprintf("a%s", strings.Repeat("*", 1+i+j)))
				}
				c.Send("PING\r\n") // a fence: what it answers stays unread
			}
			harness.Eventually(t, func() bool { return s.Info(t, "pubsub_patterns") == patterns }, "not all have subscribed")
			publisher := s.Dial(t)
			bytes := allocated(func() {
				publisher.Send("%s", message)
				publisher.Expect(fmt.Sprintf(":%d\r\n", patterns))
			})
			assert.Less(t, bytes, 16*size, "what a message costs must not grow with the patterns that it matches")
			assert.Equal(t, tt.undelivered > 0, s.Info(t, "ended_slow_hard") > 0)
			harness.Eventually(t, func() bool { return s.Info(t, "messages_undelivered") == tt.undelivered }, "the account is wrong")
		})
	}
}

// Whatever form a large message is read in, and wherever it lies, subscribers get it byte for byte.
func TestALargeMessageReachesEveryDialect(t *testing.T) {
	plain := strings.Repeat("plain text. ", 20_000)
	sly := strings.Repeat("\x00\r\n\xff tab\t\x7f", 20_000)
	shown := strings.Repeat(`\x00\r\n\xff tab`+"\t"+`\x7f`, 20_000)
	bulk := func(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }
	forms := []struct {
		name, subscribe string
		want            func(payload, line string) string
	}{
		{"RESP2", "SUBSCRIBE a\r\n", func(p, _ string) string { return "*3\r\n" + bulk("message") + bulk("a") + bulk(p) }},
		{"RESP2 pattern", "PSUBSCRIBE a*\r\n", func(p, _ string) string { return "*4\r\n" + bulk("pmessage") + bulk("a*") + bulk("a") + bulk(p) }},
		{"RESP3", "HELLO 3\r\nSUBSCRIBE a\r\n", func(p, _ string) string { return ">3\r\n" + bulk("message") + bulk("a") + bulk(p) }},
		{"RESP3 pattern", "HELLO 3\r\nPSUBSCRIBE ?\r\n", func(p, _ string) string { return ">4\r\n" + bulk("pmessage") + bulk("?") + bulk("a") + bulk(p) }},
		{"RESP3 numbered", "HELLO 3\r\nCLIENT CAPA seq\r\nSUBSCRIBE a\r\n", func(p, _ string) string {
			return ">5\r\n" + bulk("message") + bulk("a") + bulk(p) + ":1\r\n:0\r\n"
		}},
		{"LF", "SUB a\n", func(_, l string) string { return "UPDATE a " + l + "\n" }},
		{"CRLF", "SUB a\r\n", func(_, l string) string { return "UPDATE a " + l + "\r\n" }},
		{"LF twice", "SUB a\nPSUB a*\n", func(_, l string) string { return "UPDATE a " + l + "\nUPDATE a " + l + "\n" }},
		{"LF numbered", "SEQ ON\nSUB a\n", func(_, l string) string { return "UPDATE #1 a " + l + "\n" }},
	}
	for _, payload := range []struct{ name, sent, line string }{{"plain", plain, plain}, {"sly", sly, shown}} {
		for _, way := range []string{"alone", "with others", "in a transaction"} {
			t.Run(payload.name+" "+way, func(t *testing.T) {
				s := harness.Start(t, server.Options{})
				var subscribers []*harness.Conn
				for _, form := range forms {
					c := s.Dial(t)
					c.Send("%s%s", form.subscribe, harness.RESP("PING", "ready"))
					for line := ""; !strings.Contains(line, "ready"); line = c.Line() {
					}
					subscribers = append(subscribers, c)
				}
				publisher := s.Dial(t)
				send := harness.RESP("PUBLISH", "a", payload.sent)
				small := harness.RESP("PUBLISH", "a", "small")
				switch way {
				case "alone":
					publisher.Send("%s", send)
				case "with others":
					publisher.Send("%s", send+small+send+small)
				case "in a transaction":
					publisher.Send("MULTI\r\n%sEXEC\r\n", send)
				}
				for i, form := range forms {
					subscribers[i].Expect(form.want(payload.sent, payload.line))
				}
			})
		}
	}
}

// The cap acts in the middle of a delivery: what is evicted there makes room for the rest of it.
func TestTheCapActsWithinADelivery(t *testing.T) {
	const subscribers, size, limit = 400, 60 << 10, 4 << 20 // just small enough to be copied for each pattern: 23 MiB
	s := harness.Start(t, server.Options{MaxMemory: limit})
	for i := range subscribers {
		s.Dial(t).Command("PSUBSCRIBE", "a"+strings.Repeat("*", 1+i))
	}
	harness.Eventually(t, func() bool { return s.Info(t, "pubsub_patterns") == subscribers }, "not all have subscribed")
	publisher := s.Dial(t)
	bytes := allocated(func() {
		publisher.Command("PUBLISH", "a", strings.Repeat("x", size))
		publisher.Expect(fmt.Sprintf(":%d\r\n", subscribers))
	})
	assert.Less(t, bytes, subscribers*size*3/4) // 15 MB under the race detector; 24 without the cap
	assert.Positive(t, s.Info(t, "ended_memory"))
	publisher.Fence()
}
