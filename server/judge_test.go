package server_test

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// numberOne is a message that predicates look into.
func numberOne(n int) string { return fmt.Sprintf(`{"n":%d}`, n) }

// pipelined is publishes from first to last, in one piece.
func pipelined(topic string, first, last int) string {
	var b strings.Builder
	for n := first; n <= last; n++ {
		b.WriteString(harness.RESP("PUBLISH", topic, numberOne(n)))
	}
	return b.String()
}

// evens is the answers to them: the even ones reach two subscriptions, the odd ones one.
func evens(first, last int) string {
	var b strings.Builder
	for n := first; n <= last; n++ {
		fmt.Fprintf(&b, ":%d\r\n", 2-n%2)
	}
	return b.String()
}

// witness is a RESP3 connection that tells what it got.
type witness struct {
	*harness.Conn
	t *testing.T
}

func newWitness(t *testing.T, s *harness.Server, patterns ...string) *witness {
	t.Helper()
	c := s.Dial(t)
	c.Command("HELLO", "3")
	c.Command(append([]string{"PSUBSCRIBE"}, patterns...)...)
	for range 1 + len(patterns) {
		_, err := c.Frame()
		require.NoError(t, err)
	}
	return &witness{c, t}
}

// got are the numbers that have come until now.
func (w *witness) got() (numbers []int) {
	w.t.Helper()
	w.Command("PING")
	for {
		frame, err := w.Frame()
		require.NoError(w.t, err)
		if string(frame) == "+PONG\r\n" {
			return numbers
		}
		_, after, ok := strings.Cut(string(frame), `{"n":`)
		require.True(w.t, ok, "%q", frame)
		n, err := strconv.Atoi(after[:strings.IndexByte(after, '}')])
		require.NoError(w.t, err)
		numbers = append(numbers, n)
	}
}

func sequence(first, last, step int) (numbers []int) {
	for n := first; n <= last; n += step {
		numbers = append(numbers, n)
	}
	return numbers
}

// Messages to a topic with predicates are judged one by one, before the core. However they were sent, and whatever stands
// around them, nothing of that is seen: the answers come in order and count right, and each message comes once.
func TestJudgingIsNotSeen(t *testing.T) {
	const enough = 100
	run := pipelined("orders", 1, enough)
	for _, tt := range []struct {
		name, sent, answered string
		first, last          int // what is published
		ends                 bool
	}{
		{"one message", pipelined("orders", 1, 1), evens(1, 1), 1, 1, false},
		{"a run", run, evens(1, enough), 1, enough, false},
		{"between others", "PING\r\n" + pipelined("orders", 1, 2) + harness.RESP("ECHO", "x") + pipelined("quiet", 0, 1) + pipelined("orders", 3, 3),
			"+PONG\r\n" + evens(1, 2) + "$1\r\nx\r\n:0\r\n:0\r\n" + evens(3, 3), 1, 3, false},
		{"in lines", strings.Repeat(`PUB orders {"n":1}`+"\n", enough), strings.Repeat("OK PUB orders\n", enough), 1, 0, false},
		{"in a transaction", harness.RESP("MULTI") + run + harness.RESP("EXEC"),
			"+OK\r\n" + strings.Repeat("+QUEUED\r\n", enough) + fmt.Sprintf("*%d\r\n", enough) + evens(1, enough), 1, enough, false},
		{"a line inside a transaction", "MULTI\r\n" + strings.Repeat(`PUB orders {"n":2}`+"\n", 2) + "EXEC\r\n", "+OK\r\n" +
			strings.Repeat("OK PUB orders\n", 2) + "*0\r\n", 2, 0, false},
		{"a transaction that is given up", harness.RESP("MULTI") + run + harness.RESP("DISCARD") + pipelined("orders", 1, 2),
			"+OK\r\n" + strings.Repeat("+QUEUED\r\n", enough) + "+OK\r\n" + evens(1, 2), 1, 2, false},
		{"a transaction that is refused", harness.RESP("MULTI") + run + harness.RESP("nosuch") + harness.RESP("EXEC") + pipelined("orders", 1, 2),
			"+OK\r\n" + strings.Repeat("+QUEUED\r\n", enough) + "-ERR unknown command 'nosuch', with args beginning with: \r\n" +
				"-EXECABORT Transaction discarded because of previous errors.\r\n" + evens(1, 2), 1, 2, false},
		{"two transactions", harness.RESP("MULTI") + pipelined("orders", 1, 2) + harness.RESP("EXEC") + harness.RESP("MULTI") +
			pipelined("orders", 3, 4) + harness.RESP("EXEC") + pipelined("orders", 5, 9),
			"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n" + evens(1, 2) + "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n" + evens(3, 4) + evens(5, 9), 1, 9, false},
		{"whose first answer is skipped", harness.RESP("CLIENT", "REPLY", "SKIP") + run, evens(2, enough), 1, enough, false},
		{"whose answers are off", harness.RESP("CLIENT", "REPLY", "OFF") + run + harness.RESP("CLIENT", "REPLY", "ON") + pipelined("orders", enough+1, enough+1),
			"+OK\r\n" + evens(enough+1, enough+1), 1, enough + 1, false},
		{"in front of QUIT", run + harness.RESP("QUIT") + run, evens(1, enough) + "+OK\r\n", 1, enough, true},
		{"in front of RESET", run + harness.RESP("RESET") + "PING\r\n", evens(1, enough) + "+RESET\r\n+PONG\r\n", 1, enough, false},
		{"in front of the end of input", run, evens(1, enough), 1, enough, true},
		{"in front of garbage", run + "*x\r\n", evens(1, enough) + "-ERR Protocol error: invalid multibulk length\r\n", 1, enough, true},
		{"with numbers", harness.RESP("SEQ", "ON") + run, evens(1, enough), 1, enough, false}, // RESP2: they are not shown
		{"by somebody subscribed, in RESP2", harness.RESP("SUBSCRIBE", "x") + run, "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n" + strings.Repeat(
			"-ERR Can't execute 'publish': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n", enough), 1, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := harness.Start(t, server.Options{})
			even, all := newWitness(t, s, "orders WHERE n % 2 == 0"), newWitness(t, s, "orders")
			c := s.Dial(t)
			go func() { // what fails here fails below
				_, _ = io.WriteString(c, tt.sent)
				if tt.name == "in front of the end of input" {
					_ = c.Conn.(*net.TCPConn).CloseWrite()
				}
			}()
			if tt.name == "with numbers" {
				assert.Regexp(t, `^\+OK SEQ ON [0-9a-f]{16} #0$`, c.Line())
			}
			c.Expect(tt.answered)
			if tt.ends {
				c.ExpectEnd()
			} else {
				_, err := io.WriteString(c, harness.RESP("UNSUBSCRIBE", "mark"))
				require.NoError(t, err)
				assert.Equal(t, "*3", c.Line())
			}
			if tt.last == 0 { // all are the same
				n := strings.Count(tt.sent, fmt.Sprintf(`PUB orders {"n":%d}`, tt.first))
				assert.Len(t, all.got(), n)
				assert.Len(t, even.got(), n*(1-tt.first%2))
				return
			}
			assert.Equal(t, sequence(tt.first, tt.last, 1), all.got())
			assert.Equal(t, sequence(2, tt.last, 2), even.got())
		})
	}
}

// What a client may not publish is refused, each command by itself, whatever predicates the topic has.
func TestPredicatesGiveNoRights(t *testing.T) {
	s := harness.Start(t, server.Options{ACLFile: rules(t, "user default on >unlock ~* &* +@all", "user shop on >pw resetchannels &shop +@pubsub")})
	w := s.Dial(t)
	become(w, "default", "unlock")
	w.Command("HELLO", "3")
	w.Command("PSUBSCRIBE", "orders WHERE n > 0")
	for range 2 {
		_, err := w.Frame()
		require.NoError(t, err)
	}
	const n = 20
	t.Run("unknown", func(t *testing.T) {
		c := s.Dial(t)
		c.Send("%s", pipelined("orders", 1, n)+"PUB orders {\"n\":1}\n")
		c.Expect(strings.Repeat("-NOAUTH Authentication required.\r\n", n) + "NOAUTH authentication required; type: AUTH user password\n")
		c.Send("%s", harness.RESP("AUTH", "default", "unlock")+pipelined("orders", 1, 2))
		c.Expect("+OK\r\n:1\r\n:1\r\n")
	})
	t.Run("without the right", func(t *testing.T) {
		c := s.Dial(t)
		become(c, "shop", "pw")
		c.Send("%s", pipelined("orders", 1, n)+pipelined("shop", 1, 2))
		c.Expect(strings.Repeat("-NOPERM No permissions to access a channel\r\n", n) + ":0\r\n:0\r\n")
	})
	assert.Equal(t, []int{1, 2}, (&witness{w, t}).got())
}

func TestAMonitorSeesEachJudgedMessageOnce(t *testing.T) {
	s := harness.Start(t, server.Options{})
	even, m, c := newWitness(t, s, "orders WHERE n % 2 == 0"), s.Dial(t), s.Dial(t)
	m.Send("MONITOR\n")
	m.Expect("+OK\r\n")
	const n = 50
	c.Send("%s", pipelined("orders", 1, n)+`PUB orders {"n":0}`+"\n")
	for i := 1; i <= n; i++ {
		assert.Contains(t, m.Line(), fmt.Sprintf(`] "PUBLISH" "orders" "{\"n\":%d}"`, i))
	}
	assert.Contains(t, m.Line(), `] "PUB" "orders" "{\"n\":0}"`)
	c.Expect(strings.Repeat(":0\r\n:1\r\n", n/2) + "OK PUB orders\n")
	assert.Equal(t, append(sequence(2, n, 2), 0), even.got())
}

// A client that publishes to itself gets each answer, then that message, then the next answer.
func TestJudgedMessagesToOneself(t *testing.T) {
	c := harness.Start(t, server.Options{}).Dial(t)
	c.Send("%s", harness.RESP("HELLO", "3")+harness.RESP("CLIENT", "CAPA", "seq")+harness.RESP("PSUBSCRIBE", "o WHERE n != 2")+pipelined("o", 1, 3)+
		harness.RESP("PUNSUBSCRIBE", "o WHERE n != 2")+pipelined("o", 4, 4))
	_, err := c.Frame()
	require.NoError(t, err)
	message := ">6\r\n$8\r\npmessage\r\n$14\r\no WHERE n != 2\r\n$1\r\no\r\n$7\r\n{\"n\":%d}\r\n:%[1]d\r\n:%d\r\n"
	c.Expect("+OK\r\n>3\r\n$10\r\npsubscribe\r\n$14\r\no WHERE n != 2\r\n:1\r\n*2\r\n:1\r\n:1\r\n" + fmt.Sprintf(message, 1, 0) +
		"*2\r\n:0\r\n:2\r\n*2\r\n:1\r\n:3\r\n" + fmt.Sprintf(message, 3, 1) +
		">3\r\n$12\r\npunsubscribe\r\n$14\r\no WHERE n != 2\r\n:0\r\n*2\r\n:0\r\n:4\r\n")
}

// Of a client that is killed or breaks off in the middle, a part takes effect: the first messages, each once.
func TestJudgedMessagesOfAClientThatGoes(t *testing.T) {
	const n = 3000
	for name, end := range map[string]func(t *testing.T, c *harness.Conn, s *harness.Server, id string){
		"killed": func(t *testing.T, _ *harness.Conn, s *harness.Server, id string) {
			k := s.Dial(t)
			k.Command("CLIENT", "KILL", "ID", id)
			k.Expect(":1\r\n")
			require.NoError(t, k.Close())
		},
		"reset": func(t *testing.T, c *harness.Conn, _ *harness.Server, _ string) {
			require.NoError(t, c.Conn.(*net.TCPConn).SetLinger(0))
			require.NoError(t, c.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := harness.Start(t, server.Options{})
			all := newWitness(t, s, "orders WHERE n >= 0")
			c := s.Dial(t)
			number := id(t, c)
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _ = io.WriteString(c, pipelined("orders", 1, n)) // it may end in the middle
			}()
			_, err := all.Frame() // it has begun
			require.NoError(t, err)
			end(t, c, s, number)
			_, _ = io.Copy(io.Discard, c) // to its end
			_ = c.Close()                 // if it is not closed already
			harness.Eventually(t, func() bool { return s.Info(t, "connected_clients") == 2 }, "it does not end")
			<-sent
			got := all.got()
			assert.Equal(t, sequence(2, 1+len(got), 1), got)
			assert.Equal(t, 1+len(got), s.Info(t, "sequence"))
			next := s.Dial(t)
			next.Command("PUBLISH", "orders", numberOne(0))
			next.Expect(":1\r\n")
		})
	}
}

// So many predicates that a run goes in several parts: more than 64 Ki verdicts.
func TestMoreVerdictsThanAPartHas(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := s.Dial(t)
	const predicates, messages = 1000, 200
	patterns := []string{"orders WHERE n >= 1"}
	for i := 1; i < predicates; i++ {
		patterns = append(patterns, fmt.Sprintf("orders WHERE n / 2 == %d", i))
	}
	w := newWitness(t, s, patterns...)
	c.Send("%s", pipelined("orders", 1, messages))
	c.Expect(evens(1, messages))
	var want []int
	for n := 1; n <= messages; n++ {
		want = append(want, n)
		if n%2 == 0 {
			want = append(want, n)
		}
	}
	assert.Equal(t, want, w.got())
	t.Run("in a transaction they are too many", func(t *testing.T) {
		c.Send("MULTI\r\n")
		c.Expect("+OK\r\n")
		const many = 4<<20/predicates + 1
		go func() {
			_, _ = io.WriteString(c, strings.Repeat(harness.RESP("PUBLISH", "orders", "x"), many)+"EXEC\r\nPING\r\n")
		}()
		c.Expect(strings.Repeat("+QUEUED\r\n", many))
		assert.Regexp(t, `^-EXECABORT Transaction discarded because of: the messages of the transaction would have to be held against predicates `+
			`more than 4194304 times: make it smaller$`, c.Line())
		c.Expect("+PONG\r\n")
		assert.Empty(t, w.got())
	})
}

// To evaluate costly predicates on a large message would take minutes. An evaluation ends with its connection, whatever ends
// that, and whatever is evaluated.
func TestAnEvaluationEndsWithItsConnection(t *testing.T) {
	const predicates = 1000
	patterns := make([]string, predicates)
	for i := range patterns {
		patterns[i] = fmt.Sprintf("orders WHERE %sn == %d", strings.Repeat("s contains t || ", 60), i)
	}
	large := harness.RESP("PUBLISH", "orders", fmt.Sprintf(`{"s":"%s","t":"%sb"}`, strings.Repeat("a", 800<<10), strings.Repeat("a", 100<<10)))
	for _, tt := range []struct {
		sentence, first, answers, sent string
	}{
		{"of a message", "", "", large},
		{"of a transaction", "MULTI\r\n" + large, "+OK\r\n+QUEUED\r\n", "EXEC\r\n"},
		{"behind which there is more", "", "", large + pipelined("quiet", 1, 1)},
		{"behind which it ends by itself", "", "", large + "QUIT\r\n"},
	} {
		costly := func(t *testing.T) (s *harness.Server, number string) {
			s = harness.Start(t, server.Options{})
			newWitness(t, s, patterns...)
			c := s.Dial(t)
			number = id(t, c)
			c.Send("%s", tt.first)
			c.Expect(tt.answers)
			before := s.Info(t, "total_net_input_bytes")
			c.Send("%s", tt.sent)
			harness.Eventually(t, func() bool { return s.Info(t, "total_net_input_bytes") >= before+len(tt.sent) }, "it does not arrive")
			return s, number
		}
		t.Run(tt.sentence+", killed", func(t *testing.T) {
			s, number := costly(t)
			k := s.Dial(t)
			k.Command("CLIENT", "KILL", "ID", number)
			k.Expect(":1\r\n")
			require.NoError(t, k.Close())
			harness.Eventually(t, func() bool { return s.Info(t, "connected_clients") == 2 }, "it does not end")
			assert.Zero(t, s.Info(t, "sequence"))
		})
		t.Run(tt.sentence+", when the server stops", func(t *testing.T) {
			costly(t) // and it stops, as behind every test
		})
	}
}
