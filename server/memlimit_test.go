package server_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// All hold a little, one holds much: the one goes, with the others' little where it was, and its share is given back.
func TestWhoHoldsMostIsEvictedFirst(t *testing.T) {
	const limit = 4 << 20
	half := func(size string) string { return "*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$" + size + "\r\n" }
	tests := []struct {
		sentence string
		hold     func(c *harness.Conn)
	}{
		{"by commands that come in part", func(c *harness.Conn) {
			c.Send("%s", half("8000000")+strings.Repeat("x", 5<<20))
		}},
		{"by names", func(c *harness.Conn) {
			for i := range 1000 {
				c.Send("SUB %s\n", strings.Repeat(string(rune('a'+i%26)), 4000)+"-"+strings.Repeat("i", i%90)+string(rune('a'+i/90)))
			}
		}},
		{"by a transaction", func(c *harness.Conn) {
			c.Send("MULTI\r\n%s", strings.Repeat(harness.RESP("PUBLISH", "a", strings.Repeat("x", 10_000)), 500))
		}},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			s := harness.Start(t, server.Options{MaxMemory: limit})
			small := s.Dial(t)
			small.Send("SUB little\n")
			small.Expect("OK SUB little\n")
			greedy := s.Dial(t)
			go test.hold(greedy) // it is cut off in the middle
			harness.Eventually(t, func() bool { return s.Info(t, "ended_memory") == 1 }, "nobody is evicted")
			harness.Eventually(t, func() bool { return s.Info(t, "client_memory") < 1<<20 }, "what it held is not given back")
			small.Send("PUB little one\n")
			small.Expect("OK PUB little\nUPDATE little one\n")
			assert.Equal(t, 1, s.Info(t, "ended_memory"))
		})
	}
	t.Run("who takes back what it held is not missed in the sum", func(t *testing.T) {
		s := harness.Start(t, server.Options{MaxMemory: limit})
		c := s.Dial(t)
		c.Send("SUB a b c\nUNSUB a\nUNSUB\nMULTI\r\nPING\r\nDISCARD\r\nSUB d\n%s", half("3")+"xyz\r\nRESET\r\n")
		c.Expect("OK SUB a\nOK SUB b\nOK SUB c\nOK UNSUB a\nOK UNSUB b\nOK UNSUB c\n+OK\r\n+QUEUED\r\n+OK\r\nOK SUB d\n:0\r\n+RESET\r\n")
		harness.Eventually(t, func() bool { return s.Info(t, "client_memory") == 0 }, "something is still counted")
	})
}

// What is left by its topic alone weighs what it weighed when it came, predicates and all.
func TestPredicatesWeighTheSameWhenTheyGo(t *testing.T) {
	s := harness.Start(t, server.Options{})
	a := s.Dial(t)
	weighs := func(holds func(n int) bool) { // what has been read may still be on its way into the count
		harness.Eventually(t, func() bool { return holds(s.Info(t, "client_memory")) }, "what is held is not counted so")
	}
	say := func(line string, answers ...string) {
		a.Send("%s\n", line)
		for _, answer := range answers {
			assert.Equal(t, answer, a.Line())
		}
	}
	say("SUB stays", "OK SUB stays")
	long := "price in [1" + strings.Repeat(",1", 250) + "]"
	before := 300 + len("stays")
	weighs(func(n int) bool { return n == before })
	for range 3 {
		say("SUB orders WHERE price > 100", "OK SUB orders WHERE price > 100")
		say("SUB orders WHERE price > 200", "OK SUB orders WHERE price > 200")
		say("SUB orders", "OK SUB orders")
		weighs(func(n int) bool { return n > before+2*1000 && n < before+2*4000 })
		say("SUB orders WHERE "+long, "OK SUB orders WHERE "+long)
		weighs(func(n int) bool { return n > before+2*1000+25_000 })
		say("UNSUB orders WHERE price > 200", "OK UNSUB orders WHERE price > 200")
		say("UNSUB orders", "OK UNSUB orders")
		weighs(func(n int) bool { return n == before })
	}
}
