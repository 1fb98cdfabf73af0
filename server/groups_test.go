package server_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/store"
	"github.com/conchmq/conch/internal/testseed"
	"github.com/conchmq/conch/server"
)

var groupsSeed = flag.Uint64("groups.seed", 0, "the seed of the test of many consumers; 0 takes a new one")

const (
	groupEntries   = 600
	groupConsumers = 6
	groupSteps     = 150 // of each consumer
)

// groupWork is what all consumers of the group have seen together.
type groupWork struct {
	mutex sync.Mutex
	fresh map[string]int // how often an entry came as one that the group had not read
	seen  map[string]int // how often it came at all
	acked map[string]int // how often it was acknowledged, where the reply said so
}

// groupConsumer is a consumer whose connections end at any time.
type groupConsumer struct {
	*harness.Conn
	t      *testing.T
	name   string
	r      *rand.Rand
	server *harness.Server
	work   *groupWork
	held   []string // what it has got and not given up, as far as it knows
}

// deliveredEntry is an entry in a reply; with CLAIM the last number is how often it came before.
var deliveredEntry = regexp.MustCompile(`\r\n(\d+-\d+)\r\n\*2\r\n\$1\r\nn\r\n\$\d+\r\n\d+\r\n(?::\d+\r\n:(\d+)\r\n)?`)

// read sends a read of the group, and takes what comes.
func (c *groupConsumer) read(id string, options ...string) []string {
	c.t.Helper()
	c.Command(slices.Concat([]string{"XREADGROUP", "GROUP", "g", c.name}, options, []string{"STREAMS", "jobs", id})...)
	frame, err := c.Frame()
	require.NoError(c.t, err)
	require.NotEqual(c.t, byte('-'), frame[0], "%s", frame)
	var ids []string
	c.work.mutex.Lock()
	defer c.work.mutex.Unlock()
	for _, m := range deliveredEntry.FindAllStringSubmatch(string(frame), -1) {
		ids = append(ids, m[1])
		c.work.seen[m[1]]++
		if id == ">" && (m[2] == "" || m[2] == "0") {
			c.work.fresh[m[1]]++
		}
		if !slices.Contains(c.held, m[1]) {
			c.held = append(c.held, m[1])
		}
	}
	return ids
}

// some takes up to n of what the consumer holds.
func (c *groupConsumer) some(n int) []string {
	n = min(n, len(c.held))
	ids := slices.Clone(c.held[:n])
	c.held = slices.Delete(c.held, 0, n)
	return ids
}

// number sends a command and returns the number that comes back.
func (c *groupConsumer) number(words ...string) int {
	c.t.Helper()
	c.Command(words...)
	line := c.Line()
	n, err := strconv.Atoi(strings.TrimPrefix(line, ":"))
	require.NoError(c.t, err, "%s: %s", words, line)
	return n
}

// acknowledge takes each id by itself: the reply says whether this one was pending.
func (c *groupConsumer) acknowledge(ids []string) {
	for _, id := range ids {
		n := c.number("XACK", "jobs", "g", id)
		c.work.mutex.Lock()
		c.work.acked[id] += n
		c.work.mutex.Unlock()
	}
}

func (c *groupConsumer) step() {
	switch n := c.r.IntN(20); {
	case n < 7:
		c.read(">", "COUNT", strconv.Itoa(1+c.r.IntN(5)), "BLOCK", "1")
	case n < 9:
		c.read(">", "COUNT", strconv.Itoa(1+c.r.IntN(5)), "CLAIM", "0")
	case n < 10:
		c.read("0", "COUNT", "3")
	case n < 15:
		c.acknowledge(c.some(1 + c.r.IntN(4)))
	case n < 17:
		if ids := c.some(1 + c.r.IntN(3)); len(ids) > 0 {
			c.number(slices.Concat([]string{"XNACK", "jobs", "g", "FAIL", "IDS", strconv.Itoa(len(ids))}, ids)...)
		}
	case n < 19:
		if id := c.anySeen(); id != "" {
			c.Command("XCLAIM", "jobs", "g", c.name, "0", id, "JUSTID")
			_, err := c.Frame()
			require.NoError(c.t, err)
		}
	default: // it dies with a reply on its way
		c.Command("XREADGROUP", "GROUP", "g", c.name, "COUNT", "3", "STREAMS", "jobs", ">")
		require.NoError(c.t, c.Close())
		c.Conn = c.server.Dial(c.t)
	}
}

// anySeen is an entry that any consumer has seen.
func (c *groupConsumer) anySeen() string {
	c.work.mutex.Lock()
	defer c.work.mutex.Unlock()
	for id := range c.work.seen { // any: the seed does not decide how goroutines meet either
		return id
	}
	return ""
}

// Clauses 6 and 9: consumers read, claim, release and acknowledge at once, and their connections end in the middle. Each entry comes as
// a new one once at most, is acknowledged once, and none is lost. What is pending has one consumer, of which it is the history.
func TestAGroupOfManyConsumers(t *testing.T) {
	seed := *groupsSeed
	if seed == 0 {
		seed = testseed.New()
	}
	t.Logf("the same choices with -groups.seed=%d", seed)
	kept, err := store.Open(store.Options{Dir: t.TempDir(), SegmentSize: store.MinSegmentSize})
	require.NoError(t, err)
	s := harness.Start(t, server.Options{Store: kept, Epoch: kept.Epoch(), Resolve: kept.Resolve})
	kept.Start(s.Service())
	writer := s.Dial(t)
	writer.Command("XGROUP", "CREATE", "jobs", "g", "0", "MKSTREAM")
	writer.Expect("+OK\r\n")
	work := &groupWork{fresh: map[string]int{}, seen: map[string]int{}, acked: map[string]int{}}
	consumer := func(i int) *groupConsumer {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		return &groupConsumer{Conn: s.Dial(t), t: t, name: fmt.Sprint("c", i), r: r, server: s, work: work}
	}
	var consumers []*groupConsumer
	var running sync.WaitGroup
	for i := range groupConsumers {
		c := consumer(i)
		consumers = append(consumers, c)
		running.Go(func() {
			for range groupSteps {
				c.step()
			}
		})
	}
	for i := range groupEntries {
		writer.Command("XADD", "jobs", "*", "n", strconv.Itoa(i))
		writer.Line()
		writer.Line()
	}
	running.Wait()
	harness.Eventually(t, func() bool { // what dead connections have sent is applied
		writer.Command("CLIENT", "LIST")
		frame, err := writer.Frame()
		require.NoError(t, err)
		return strings.Count(string(frame), "id=") == groupConsumers+1
	}, "connections do not end")
	checkPending(t, writer, consumers, work)

	last := consumer(groupConsumers)
	for _, id := range pendingOf(t, writer, "") {
		last.Command("XCLAIM", "jobs", "g", last.name, "0", id.id)
		_, err := last.Frame()
		require.NoError(t, err)
		last.acknowledge([]string{id.id})
	}
	for last.held = nil; len(last.read(">", "COUNT", "1000")) > 0; {
		last.acknowledge(last.some(1000))
	}
	assert.Len(t, work.acked, groupEntries)
	for id, n := range work.acked {
		assert.Equal(t, 1, n, "%s was acknowledged %d times", id, n)
		assert.LessOrEqual(t, work.fresh[id], 1, "%s came as new %d times", id, work.fresh[id])
	}
	assert.Empty(t, pendingOf(t, writer, ""))
	for _, c := range append(consumers, last) {
		require.NoError(t, c.Close())
	}
	require.NoError(t, writer.Close())
	kept.Stop()
	s.Stop()
	require.NoError(t, kept.Close(groupEntries))
}

// pendingEntry is a line of XPENDING.
type pendingEntry struct {
	id, consumer string
	deliveries   int
}

var pendingLine = regexp.MustCompile(`\*4\r\n\$\d+\r\n(\d+-\d+)\r\n\$\d+\r\n(.*)\r\n:-?\d+\r\n:(\d+)\r\n`)

// pendingOf is what is pending of a consumer, or of all.
func pendingOf(t *testing.T, c *harness.Conn, consumer string) (all []pendingEntry) {
	t.Helper()
	words := []string{"XPENDING", "jobs", "g", "-", "+", "10000"}
	if consumer != "" {
		words = append(words, consumer)
	}
	c.Command(words...)
	frame, err := c.Frame()
	require.NoError(t, err)
	for _, m := range pendingLine.FindAllStringSubmatch(string(frame), -1) {
		n, err := strconv.Atoi(m[3])
		require.NoError(t, err)
		all = append(all, pendingEntry{m[1], m[2], n})
	}
	return all
}

// checkPending holds what is pending against what the consumers have seen, and against their histories.
func checkPending(t *testing.T, c *harness.Conn, consumers []*groupConsumer, work *groupWork) {
	t.Helper()
	owners := map[string][]string{}
	pending := map[string]bool{}
	for _, e := range pendingOf(t, c, "") {
		require.False(t, pending[e.id], "%s is pending twice", e.id)
		pending[e.id] = true
		owners[e.consumer] = append(owners[e.consumer], e.id)
		require.GreaterOrEqual(t, e.deliveries, work.seen[e.id], "deliveries of %s", e.id)
	}
	for id := range work.seen {
		require.NotEqual(t, pending[id], work.acked[id] == 1, "%s was delivered: it is pending, or it is acknowledged", id)
	}
	for _, one := range consumers {
		require.Equal(t, owners[one.name], one.read("0", "COUNT", "10000"), "the history of %s", one.name)
	}
}
