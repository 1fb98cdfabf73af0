//go:build connect

package connect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/client"
)

// many is how many messages go each way.
const many = 10_000

// limit is the largest message that conch takes here.
const limit = 64 << 10

// secret is the password that no log line may have.
const secret = "wrong-Ffu27xq"

// system is another system with its server, as the scenarios see it.
type system struct {
	name   string
	server *server
	// keeps is true if what is sent while nobody reads is there afterwards: not so with NATS core and the channels of Redis.
	keeps bool
	// crashes is true if what the server has acknowledged survives its SIGKILL; it gets SIGTERM otherwise.
	crashes bool
	// once is true if on a durable topic each message is there once, whatever is killed: the system has positions, or ids.
	once bool
	// denied is the URL of a source with a wrong password, which is secret; empty if the system knows none.
	denied string

	open func(t *testing.T) lane
}

// lane is a queue, a topic or a stream that one scenario has for itself.
type lane struct {
	source string                                   // URL that reads it
	sink   string                                   // URL that writes to it
	lacks  string                                   // URL of a sink whose template names {field.missing}; empty if the system has no templates
	put    func(t *testing.T, payloads ...string)   // writes to it, and returns when the server has all
	take   func(t *testing.T, n int) (all []string) // reads until n different payloads have come; what else came, too
	forget func(t *testing.T)                       // ends the readers that were killed; nil if the system needs no help with that
}

// play plays all scenarios with one system.
func play(t *testing.T, s *system) {
	s.server.use(t)
	t.Run("ten thousand messages each way, and those that cannot go", func(t *testing.T) { playAll(t, s) })
	t.Run("the other side restarts", func(t *testing.T) { playRestart(t, s) })
	t.Run("conch is killed", func(t *testing.T) { playKill(t, s) })
	t.Run("the other side stands still", func(t *testing.T) { playStall(t, s) })
}

// sourceTable is the text of a config file.
func sourceTable(name, from, topic string, more ...string) string {
	return fmt.Sprintf("\n[[source]]\nname = %q\nfrom = %q\ntopic = %q\n%s\n", name, from, topic, strings.Join(more, "\n"))
}

func sinkTable(name, topic, to string, more ...string) string {
	return fmt.Sprintf("\n[[sink]]\nname = %q\ntopic = %q\nto = %q\n%s\n", name, topic, to, strings.Join(more, "\n"))
}

// numbered makes n payloads that differ, with a price from 0 to 9.
func numbered(name string, n int) (payloads []string) {
	for i := range n {
		payloads = append(payloads, fmt.Sprintf(`{"name":%q,"n":%d,"price":%d,"user":{"region":"r%d"}}`, name, i, i%10, i%3))
	}
	return payloads
}

func playAll(t *testing.T, s *system) {
	in, kept, out, keptOut, odd := s.open(t), s.open(t), s.open(t), s.open(t), s.open(t)
	config := "max-message = \"64KiB\"\n" +
		sourceTable("in", in.source, "p.in", `where = "price > 0"`) +
		sourceTable("kept", kept.source, "d.kept") +
		sourceTable("odd", odd.source, "odd.{field.user.region}", `dead = "dead"`) +
		sinkTable("out", "p.out", out.sink, `where = "price > 0"`) +
		sinkTable("kept-out", "d.out", keptOut.sink)
	if s.denied != "" {
		config += sourceTable("denied", s.denied, "p.denied")
	}
	if out.lacks != "" {
		config += sinkTable("lacks", "p.lacks", out.lacks, `dead = "dead"`)
	}
	c := startConch(t, config)
	c.awaitRunning("in", "kept", "odd", "out", "kept-out")

	t.Run("in, plain", func(t *testing.T) {
		got := c.subscribe(client.Topic("p.in"))
		in.put(t, numbered("in", many)...)
		all := got.await(t, many*9/10)
		assertOrder(t, held(numbered("in", many)), all)
		a := c.awaitBalance("in")
		assert.Equal(t, []int{many, many * 9 / 10, many / 10, 0}, []int{a.Taken, a.Published, a.HeldBack, a.Dead})
	})
	t.Run("in, durable", func(t *testing.T) {
		kept.put(t, numbered("kept", many)...)
		assertOrder(t, numbered("kept", many), c.awaitEntries("d.kept", many))
		a := c.awaitBalance("kept")
		assert.Equal(t, []int{many, many, 0}, []int{a.Taken, a.Published, a.Dead})
	})
	t.Run("out, plain", func(t *testing.T) {
		require.Positive(t, c.publish("p.out", numbered("out", many)...))
		assertOrder(t, held(numbered("out", many)), out.take(t, many*9/10))
		a := c.awaitBalance("out")
		assert.Equal(t, []int{many * 9 / 10, many * 9 / 10, 0, 0}, []int{a.Matched, a.Sent, a.Lost, a.Dead})
	})
	t.Run("out, durable", func(t *testing.T) {
		c.publish("d.out", numbered("out", many)...)
		assertOrder(t, numbered("out", many), keptOut.take(t, many))
		a := c.awaitBalance("kept-out")
		assert.Equal(t, []int{many, many, 0}, []int{a.Matched, a.Sent, a.Dead})
	})
	t.Run("a message that lacks what the template names, and one that is too large", func(t *testing.T) { playOdd(t, c, &odd) })
	if out.lacks != "" {
		t.Run("a message that lacks what the template of the sink names", func(t *testing.T) {
			dead := c.subscribe(client.Topic("dead"))
			c.publish("p.lacks", `{"missing":"here","n":1}`, `{"n":2}`, `{"missing":"here","n":3}`)
			assert.Equal(t, []string{`{"n":2}`}, dead.await(t, 1))
			a := c.awaitConnector("lacks", "sends the others", func(a *account) bool { return a.Sent == 2 })
			assert.Equal(t, []int{3, 1, 0}, []int{a.Matched, a.Dead, a.Lost})
		})
	}
	if s.denied != "" {
		t.Run("a wrong password", func(t *testing.T) {
			a := c.awaitConnector("denied", "reports its error", func(a *account) bool { return a.LastError != "" })
			assert.NotEqual(t, "running", a.State)
			assert.NotContains(t, a.LastError+a.URL, secret)
			assert.NotContains(t, c.output.String(), secret)
		})
	}
}

// playOdd sends one message that conch cannot place, one that it does not take, and one that is fine, which follows them.
func playOdd(t *testing.T, c *conch, odd *lane) {
	dead, got := c.subscribe(client.Topic("dead")), c.subscribe(client.Pattern("odd.*"))
	fine := numbered("odd", 1)[0]
	large := `{"user":{"region":"r"},"text":"` + strings.Repeat("x", limit) + `"}`
	odd.put(t, `{"user":{}}`, large, fine)
	got.await(t, 1)
	assert.Equal(t, map[string]int{"odd.r0": 1}, got.topics)
	a := c.awaitConnector("odd", "gives up two", func(a *account) bool { return a.Dead == 2 })
	assert.True(t, a.balances(), "%+v", a)
	dead.await(t, 1)
	assert.Contains(t, dead.all(), `{"user":{}}`)
}

// playRestart restarts the other side while half of the messages are on their way.
func playRestart(t *testing.T, s *system) {
	in, out := s.open(t), s.open(t)
	c := startConch(t, sourceTable("in", in.source, "d.in")+sinkTable("out", "d.out", out.sink))
	c.awaitRunning("in", "out")
	inputs, outputs := numbered("in", many), numbered("out", many)
	in.put(t, inputs[:many/2]...)
	c.publish("d.out", outputs[:many/2]...)
	if !s.keeps { // what is in the server when it ends is gone
		c.awaitEntries("d.in", many/2)
		out.take(t, many/2)
	}
	if s.crashes {
		s.server.kill()
	} else {
		s.server.stop()
	}
	if !s.keeps { // else what comes before a source has its new connection is gone
		c.awaitConnector("in", "has lost its connection", func(a *account) bool { return a.State != "running" })
	}
	c.publish("d.out", outputs[many/2:]...)
	s.server.restart(t)
	if !s.keeps {
		c.awaitRunning("in", "out")
	}
	in.put(t, inputs[many/2:]...)
	assertAll(t, s.once, inputs, c.awaitEntries("d.in", many))
	if s.keeps {
		assertAll(t, false, outputs, out.take(t, many))
	}
	c.awaitBalance("in")
	c.awaitBalance("out")
}

// playKill kills conch while messages are on their way in and out.
func playKill(t *testing.T, s *system) {
	if !s.keeps {
		t.Skip("the system keeps nothing for a reader that is away")
	}
	in, out := s.open(t), s.open(t)
	c := startConch(t, sourceTable("in", in.source, "d.in")+sinkTable("out", "d.out", out.sink))
	c.awaitRunning("in", "out")
	inputs, outputs := numbered("in", many), numbered("out", many)
	c.publish("d.out", outputs...)
	in.put(t, inputs[:many/2]...)
	c.awaitEntries("d.in", 1)
	c.kill()
	in.put(t, inputs[many/2:]...)
	c.restart()
	assertAll(t, s.once, inputs, c.awaitEntries("d.in", many))
	assertAll(t, false, outputs, out.take(t, many))
	c.awaitConnector("out", "is done", func(a *account) bool { return a.Pending == 0 && a.State == "running" })
}

// held are the payloads that pass price > 0.
func held(payloads []string) []string {
	return slices.DeleteFunc(payloads, func(p string) bool { return strings.Contains(p, `"price":0`) })
}

// assertOrder holds that exactly these payloads came, in this order.
func assertOrder(t *testing.T, want, got []string) {
	t.Helper()
	if !slices.Equal(want, got) {
		assertAll(t, true, want, got)
		assert.Fail(t, "another order")
	}
}

// assertAll holds that each payload came, once or more often.
func assertAll(t *testing.T, once bool, want, got []string) {
	t.Helper()
	seen, wanted := distinct(got), distinct(want)
	var missing, strange, repeated []string
	for p := range wanted {
		if seen[p] == 0 {
			missing = append(missing, p)
		}
	}
	for p, n := range maps.All(seen) {
		switch {
		case wanted[p] == 0:
			strange = append(strange, p)
		case n > 1:
			repeated = append(repeated, p)
		}
	}
	first := func(all []string) []string { slices.Sort(all); return all[:min(len(all), 3)] }
	assert.Empty(t, first(missing), "%d of %d are missing", len(missing), len(want))
	assert.Empty(t, first(strange), "%d are not of this test", len(strange))
	if once {
		assert.Empty(t, first(repeated), "%d came more than once", len(repeated))
	}
}

// playStall has the other side stand still while messages go out: the sink reports it after its timeout, ends when it is removed, and goes on
// when the other side does. The rest goes with the timeout of every sink, because a disk may take a second for one write.
func playStall(t *testing.T, s *system) {
	out, other := s.open(t), s.open(t)
	commands := "enable-connect-command = \"yes\"\n"
	c := startConch(t, commands+sinkTable("out", "d.out", out.sink, `timeout = "1s"`))
	c.awaitRunning("out")
	assert.Equal(t, "OK", redisCLI(t, c.address, "SINK", "ADD", "other", other.sink, "topic", "d.out"))
	c.awaitRunning("other")
	require.NoError(t, syscall.Kill(-s.server.cmd.Process.Pid, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(-s.server.cmd.Process.Pid, syscall.SIGCONT) }) // after a failure
	payloads := numbered(strings.Repeat("x", 2000), many)                              // more than sockets hold
	c.publish("d.out", payloads...)
	c.awaitConnector("out", "reports it", func(a *account) bool { return a.LastError != "" })
	assert.Equal(t, "OK", redisCLI(t, c.address, "SINK", "DEL", "other"))
	require.NoError(t, syscall.Kill(-s.server.cmd.Process.Pid, syscall.SIGCONT))
	c.awaitConnector("out", "goes on", func(a *account) bool { return a.Sent > 0 })
	c.reload(commands + sinkTable("out", "d.out", out.sink))
	assertAll(t, false, payloads, out.take(t, many))
	c.awaitBalance("out")
}
