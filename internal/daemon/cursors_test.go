package daemon

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// A subscriber with a group goes on where it was, over its own end and over a restart.
func TestAGroupGoesOnOverARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	flags := []string{"--dir=" + dir, "--durable=orders.*", "--log-level=debug"}
	p := start(t, flags...)
	one, pub := harness.Use(t, p.Dial()), harness.Use(t, p.Dial())
	pub.Send("PUB orders.a before\n")
	pub.Expect("OK PUB orders.a\n")
	one.Send("SUB orders.a FROM GROUP billing\n")
	one.Expect("OK SUB orders.a\n")
	pub.Send("PUB orders.a 1\nPUB orders.a 2\n")
	one.Expect("UPDATE orders.a 1\nUPDATE orders.a 2\n")
	require.NoError(t, one.Close())
	p.Log.Await(t, "disconnected", 1) // what the kernel takes for a client that is gone is lost
	pub.Send("PUB orders.a 3\n")
	pub.Expect(strings.Repeat("OK PUB orders.a\n", 3))
	p.Signals <- syscall.SIGTERM
	require.NoError(t, p.wait())
	require.NoError(t, pub.Close())

	p = start(t, flags...)
	two := harness.Use(t, p.Dial())
	two.Send("PUB orders.a 4\nSUB orders.a FROM GROUP billing\n")
	two.Expect("OK PUB orders.a\nOK SUB orders.a\nUPDATE orders.a 3\nUPDATE orders.a 4\n")
	two.Send("UNSUB orders.a\nPUB orders.a 5\nSUB orders.a FROM GROUP billing\n")
	two.Expect("OK UNSUB orders.a\nOK PUB orders.a\nOK SUB orders.a\nUPDATE orders.a 5\n")
}

// A newcomer takes over what the older connection has not got; that one ends.
func TestANewcomerTakesOver(t *testing.T) {
	p := start(t, "--durable=orders", "--log-level=debug")
	one, two := harness.Use(t, p.Dial()), harness.Use(t, p.Dial())
	one.Send("SUB orders FROM GROUP g\n")
	one.Expect("OK SUB orders\n")
	two.Send("PUB orders 1\n")
	two.Expect("OK PUB orders\n")
	one.Expect("UPDATE orders 1\n")
	two.Send("PSUB orders FROM GROUP g\n")
	two.Expect("OK PSUB orders\n")
	assert.Contains(t, one.Line(), "ERR closing connection: another one has subscribed from the same group")
	one.ExpectEnd()
	two.Send("PUB orders 2\n")
	two.Expect("OK PUB orders\nUPDATE orders 2\n")
	assert.Equal(t, "taken_over", p.Log.Await(t, "disconnected", 1)["reason"])
}

// Each entry reaches one of the connections that take over from each other all the time, at least once.
func TestManyTakeOvers(t *testing.T) {
	p := start(t, "--durable=orders", "--log-level=debug")
	const messages = 300
	pub := harness.Use(t, p.Dial())
	first := harness.Use(t, p.Dial())
	first.Send("SUB orders FROM GROUP g\n")
	first.Expect("OK SUB orders\n")
	got := make([]bool, messages)
	published := make(chan struct{})
	go func() {
		defer close(published)
		for i := range messages {
			pub.Send("PUB orders %d\n", i)
			pub.Expect("OK PUB orders\n")
		}
	}()
	missing := messages
	take := func(c *harness.Conn, most int) {
		for n := 0; n < most && missing > 0; n++ {
			var i int
			line := c.Line()
			if _, err := fmt.Sscanf(line, "UPDATE orders %d", &i); err != nil {
				require.Contains(t, line, "closing connection")
				return
			}
			if !got[i] {
				got[i] = true
				missing--
			}
		}
	}
	take(first, 5)
	for older := first; missing > 0; {
		next := harness.Use(t, p.Dial())
		next.Send("SUB orders FROM GROUP g\n")
		next.Expect("OK SUB orders\n")
		take(older, messages) // what came before it was taken over
		take(next, 1)
		older = next
	}
	<-published
}
