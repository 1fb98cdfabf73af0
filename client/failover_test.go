package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/testseed"
)

const modelEpoch = "c100000000000001"

// replicas are a model of a cluster: one history of messages, of which each node has a part.
type replicas struct {
	tasks sync.WaitGroup

	mu      sync.Mutex // guards all below, and the nodes
	history []string   // topics; the message at i has the sequence number i+1
	nodes   []*replica
}

// replica is one node.
type replica struct {
	of             *replicas
	addr           string
	applied        int // of the history
	oldest         int // sequence number of the oldest message that it keeps
	down, loading  bool
	reportsUnknown bool // that a position beyond what is applied is not known
	conns          map[*replicaConn]struct{}
}

// replicaConn is a connection to a node.
type replicaConn struct {
	node   *replica
	sock   net.Conn
	names  []replicaName
	frames chan string
}

// replicaName is a name on the wire, the topic of it, and the sequence number that its messages begin at.
type replicaName struct {
	sent, topic      string
	start, preceding int
}

func (r *replicas) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nodes[slices.IndexFunc(r.nodes, func(n *replica) bool { return n.addr == addr })]
	if n.down || ctx.Err() != nil {
		return nil, errRefused
	}
	ours, theirs := net.Pipe()
	c := &replicaConn{node: n, sock: theirs, frames: make(chan string, 1<<12)}
	n.conns[c] = struct{}{}
	r.tasks.Go(c.read)
	r.tasks.Go(func() {
		for f := range c.frames {
			_, _ = c.sock.Write([]byte(f)) // the client may be gone
		}
		_ = c.sock.Close()
	})
	return ours, nil
}

// end ends a connection; what waits is lost if it is cut. r.mu is held.
func (c *replicaConn) end(cut bool) {
	if _, ok := c.node.conns[c]; !ok {
		return
	}
	delete(c.node.conns, c)
	if cut {
		_ = c.sock.Close()
	}
	close(c.frames)
}

func (c *replicaConn) read() {
	commands := newReplyReader(c.sock, 1<<20)
	for {
		command, err := commands.read()
		c.node.of.mu.Lock()
		if _, open := c.node.conns[c]; err != nil || !open {
			c.end(true)
			c.node.of.mu.Unlock()
			return
		}
		args := make([]string, len(command.elements))
		for i := range args {
			args[i] = string(command.elements[i].bytes)
		}
		c.answer(args)
		c.node.of.mu.Unlock()
	}
}

func (c *replicaConn) push(format string, args ...any) {
	c.frames <- strings.ReplaceAll(fmt.Sprintf(format, args...), "|", "\r\n") + "\r\n"
}

func (c *replicaConn) answer(args []string) {
	switch {
	case len(args) == 1 && args[0] == "HELLO":
		c.push("%%4|+epoch|+%s|+sequence|:%d|+recent|:1|+replaying|:0", modelEpoch, c.node.applied)
	case args[0] == "HELLO":
		c.push("%%0")
	case args[0] == "PING" && c.node.loading:
		c.push("-LOADING the node catches up")
	case args[0] == "PING":
		c.push("+PONG")
	case args[0] == "CLIENT":
		c.push("+OK")
	case args[0] == "SUBSCRIBE", args[0] == "PSUBSCRIBE":
		c.subscribe(strings.ToLower(args[0]), args[1:])
	default:
		c.push("-ERR the model has no %s", args[0])
	}
}

// subscribe confirms names, and sends what they have missed since their positions.
func (c *replicaConn) subscribe(verb string, names []string) {
	first := len(c.names)
	for _, sent := range names {
		n := replicaName{sent: sent, topic: sent, start: c.node.applied + 1}
		c.push(">3|+%s|+%s|:%d", verb, sent, len(c.names)+1)
		if topic, position, placed := strings.Cut(sent, " FROM "); placed {
			number, _ := strings.CutPrefix(strings.TrimSpace(position), modelEpoch+"-")
			n.topic = topic
			n.start, _ = strconv.Atoi(number) // 0 for what the model does not know, which the test would notice
		}
		c.names = append(c.names, n)
		switch missed := c.node.of.count(n.topic, n.start, c.node.oldest); {
		case n.start > c.node.applied+1 && c.node.reportsUnknown:
			c.push(">3|+missed|+%s|_", sent)
		case missed > 0:
			c.push(">3|+missed|+%s|:%d", sent, missed)
		}
	}
	for seq := c.node.oldest; seq <= c.node.applied; seq++ {
		for i := range c.names[first:] {
			if n := &c.names[first+i]; n.start <= seq {
				c.deliver(n, seq)
			}
		}
	}
}

// deliver sends a message that matches a name.
func (c *replicaConn) deliver(n *replicaName, seq int) {
	topic := c.node.of.history[seq-1]
	switch {
	case topic != n.topic:
		return
	case n.sent == n.topic:
		c.push(">5|+message|+%s|+%d|:%d|:%d", topic, seq, seq, n.preceding)
	default:
		c.push(">6|+pmessage|+%s|+%s|+%d|:%d|:%d", n.sent, topic, seq, seq, n.preceding)
	}
	n.preceding = seq
}

// count returns how many messages of a topic there are from one number up to another one, which is excluded.
func (r *replicas) count(topic string, from, to int) (count int) {
	for seq := from; seq < to; seq++ {
		if r.history[seq-1] == topic {
			count++
		}
	}
	return count
}

// apply lets a node apply some of the history.
func (n *replica) apply(count int) {
	for range min(count, len(n.of.history)-n.applied) {
		n.applied++
		for c := range n.conns {
			for i := range c.names {
				c.deliver(&c.names[i], n.applied)
			}
		}
	}
}

// stop ends all connections of a node: at once, or with a notice that names another one.
func (n *replica) stop(next string) {
	n.down = true
	for c := range n.conns {
		if next != "" {
			c.push(">4|+closing|+shutdown|+the server stops|+next=%s", next)
		}
		c.end(next == "")
	}
}

// step does something at random, and says what.
func (r *replicas) step(random *rand.Rand) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nodes[random.IntN(len(r.nodes))]
	other := r.nodes[random.IntN(len(r.nodes))]
	switch random.IntN(10) {
	case 0, 1, 2, 3:
		for range 1 + random.IntN(4) {
			r.history = append(r.history, []string{"x", "y", "z"}[random.IntN(3)])
		}
		return "publish"
	case 4, 5, 6:
		n.apply(1 + random.IntN(5))
		return "apply at " + n.addr
	case 7:
		n.oldest = max(n.oldest, n.applied-random.IntN(8))
		return "trim at " + n.addr
	case 8:
		if n.down {
			n.down, n.loading = false, random.IntN(3) == 0
			return "start " + n.addr
		}
		n.loading = false
		fallthrough
	default:
		next := ""
		if random.IntN(2) == 0 && other != n {
			next = other.addr
		}
		n.stop(next)
		return "stop " + n.addr + " " + next
	}
}

// A subscription of a cluster gets each message once and in order, over nodes that stop, start, are behind and forget; what it
// does not get is reported in its place, with how many.
func TestFailoverModel(t *testing.T) {
	first := testseed.New() >> 1
	for seed := first; seed < first+100; seed++ {
		synctest.Test(t, func(t *testing.T) { playFailover(t, rand.New(rand.NewPCG(seed, 0))) })
		require.False(t, t.Failed(), "CONCH_SEED=%d", seed<<1)
	}
}

func playFailover(t *testing.T, random *rand.Rand) {
	r := &replicas{}
	defer r.tasks.Wait()
	o := Options{Sequences: true, Dialer: r.dial, Buffer: 1 << 12}
	for _, addr := range []string{"a:1", "b:1", "c:1"} {
		r.nodes = append(r.nodes, &replica{of: r, addr: addr, oldest: 1, reportsUnknown: random.IntN(2) == 0, conns: map[*replicaConn]struct{}{}})
		o.Addresses = append(o.Addresses, addr)
	}
	c, err := Dial(t.Context(), o)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	s, err := c.Subscribe(t.Context(), Topic("x"), Topic("y"))
	require.NoError(t, err)
	var steps []string
	for range 60 {
		steps = append(steps, r.step(random))
		time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond) //nolint:forbidigo // the clock is the bubble's
	}
	r.mu.Lock()
	for _, n := range r.nodes {
		n.down, n.loading = false, false
		n.apply(len(r.history))
	}
	r.history = append(r.history, "y", "x") // the last ones
	for _, n := range r.nodes {
		n.apply(2)
	}
	r.mu.Unlock()
	defer func() {
		if t.Failed() {
			t.Log(strings.Join(steps, ", "))
		}
	}()
	checkFailover(t, r, s)
}

// checkFailover reads events up to the last message of each topic, and compares them with the history. What was reported as
// missed may come after all, from another node that still keeps it.
func checkFailover(t *testing.T, r *replicas, s *Subscription) {
	type progress struct{ last, missed int }
	topics := map[string]*progress{"x": {}, "y": {}}
	for topics["x"].last < len(r.history) || topics["y"].last < len(r.history)-1 {
		e, err := s.Next(t.Context())
		require.NoError(t, err)
		switch e := e.(type) {
		case *Message:
			p := topics[e.Topic]
			require.Greater(t, int(e.Sequence), p.last, "the next message of %s", e.Topic)
			skipped := r.count(e.Topic, p.last+1, int(e.Sequence))
			require.LessOrEqual(t, skipped, p.missed, "messages of %s between %d and %d", e.Topic, p.last, e.Sequence)
			require.Equal(t, strconv.FormatUint(e.Sequence, 10), string(e.Payload))
			*p = progress{last: int(e.Sequence)}
		case *Missed:
			require.Positive(t, e.Count, "the model has the count of each loss")
			topics[e.Name].missed += e.Count
		case *Reconnected:
			require.Fail(t, "a node of the cluster was taken for another server", describe(e))
		}
	}
}
