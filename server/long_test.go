package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// many are so many names.
func many(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("t%04d", i))
	}
	return names
}

// A command of very many names is carried out in pieces. What it answers is what it would answer in one.
func TestACommandOfManyNamesIsAnsweredAsAnyOther(t *testing.T) {
	const n = 3500 // of 1,000 a piece: the last one is not full
	names := many(n)
	command := func(verb string) string { return harness.RESP(append(strings.Fields(verb), names...)...) }
	counts := func(kind string, count func(i int) int) string {
		var b strings.Builder
		for i, name := range names {
			fmt.Fprintf(&b, "*3\r\n$%d\r\n%s\r\n$5\r\n%s\r\n:%d\r\n", len(kind), kind, name, count(i))
		}
		return b.String()
	}
	up := func(i int) int { return i + 1 }
	down := func(i int) int { return n - 1 - i }
	for _, tt := range []struct{ sentence, sent, want string }{
		{"SUBSCRIBE", command("SUBSCRIBE"), counts("subscribe", up)},
		{"PSUBSCRIBE", command("PSUBSCRIBE"), counts("psubscribe", up)},
		{"UNSUBSCRIBE", command("SUBSCRIBE") + command("UNSUBSCRIBE"), counts("subscribe", up) + counts("unsubscribe", down)},
		{"UNSUBSCRIBE without names", command("SUBSCRIBE") + "*1\r\n$11\r\nUNSUBSCRIBE\r\n",
			counts("subscribe", up) + counts("unsubscribe", down)},
		{"verbs as RESP", command("SUB") + command("UNSUB"), "+OK SUB " + strings.Join(names, " ") + "\r\n+OK UNSUB " + strings.Join(names, " ") + "\r\n"},
		{"a verb without names as RESP", command("SUB") + harness.RESP("UNSUB"),
			"+OK SUB " + strings.Join(names, " ") + "\r\n+OK UNSUB " + strings.Join(names, " ") + "\r\n"},
		{"lines", "SUB " + strings.Join(names, " ") + "\n", "OK SUB " + strings.Join(names, "\nOK SUB ") + "\n"},
		{"PUBSUB NUMSUB", command("PUBSUB NUMSUB"), fmt.Sprintf("*%d\r\n$5\r\n", 2*n) + strings.Join(names, "\r\n:0\r\n$5\r\n") + "\r\n:0\r\n"},
		{"RESET", command("SUBSCRIBE") + "RESET\r\n", counts("subscribe", up) + "+RESET\r\n"},
		{"what stands before and behind keeps its place", "PING\r\n" + command("PUBSUB NUMSUB") + "ECHO x\r\n",
			"+PONG\r\n" + fmt.Sprintf("*%d\r\n$5\r\n", 2*n) + strings.Join(names, "\r\n:0\r\n$5\r\n") + "\r\n:0\r\n$1\r\nx\r\n"},
		{"CLIENT REPLY SKIP passes over all of it", "CLIENT REPLY SKIP\r\n" + command("PUBSUB NUMSUB") + "ECHO x\r\n", "$1\r\nx\r\n"},
		{"a transaction takes no such command", "MULTI\r\n" + command("SUBSCRIBE") + "EXEC\r\n", "+OK\r\n" +
			"-ERR more than 1000 names in one command of a transaction\r\n" +
			"-EXECABORT Transaction discarded because of previous errors.\r\n"},
	} {
		t.Run(tt.sentence, func(t *testing.T) {
			s := harness.Start(t, server.Options{})
			c := s.Dial(t)
			go c.Send("%s", tt.sent)
			c.Expect(tt.want)
			c.Send("%s", harness.RESP("PING", "end")) // nothing else comes
			frame, err := c.Frame()
			require.NoError(t, err)
			assert.Contains(t, string(frame), "end")
		})
	}
}

// Each name has its instant: what others do comes between the pieces, and so do messages, but not into an answer.
func TestOthersComeBetweenThePieces(t *testing.T) {
	const n = 50_000
	s := harness.Start(t, server.Options{})
	c, other := s.Dial(t), s.Dial(t)
	c.Send("SUB news\n")
	c.Expect("OK SUB news\n")
	go c.Send("%s", harness.RESP(append([]string{"PUBSUB", "NUMSUB"}, many(n)...)...))
	for s.Info(t, "total_net_input_bytes") < 14*n { // it is on its way
		other.Send("PUB news x\n")
		other.Expect("OK PUB news\n")
	}
	other.Send("PUB news last\n")
	other.Expect("OK PUB news\n")
	for line := ""; line != "UPDATE news last"; { // and the answer, in one piece, before or behind any of these
		if line = c.Line(); line != fmt.Sprintf("*%d", 2*n) {
			continue
		}
		for i := range n {
			c.Expect(fmt.Sprintf("$%d\r\nt%04d\r\n:0\r\n", len(fmt.Sprintf("t%04d", i)), i))
		}
	}
}

// A piece that is refused ends the command: it is answered once, and the names before it hold.
func TestAPieceThatIsRefused(t *testing.T) {
	s := harness.Start(t, server.Options{MaxSubscriptions: 2500})
	c := s.Dial(t)
	go c.Send("%s", harness.RESP(append([]string{"SUB"}, many(3500)...)...)+"PING x\r\n")
	c.Expect("-ERR more than 2500 subscriptions on one connection (--max-subscriptions)\r\n*2\r\n$4\r\npong\r\n$1\r\nx\r\n")
	assert.Equal(t, 2000, s.Info(t, "pubsub_channels"))
}
