package command

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
)

// awaitProposals waits until so many entries were proposed.
func (o *oneOrder) awaitProposals(n int32) {
	o.t.Helper()
	eventually(o.t, func() bool { return o.count.Load() == n }, "the proposals")
}

// A change by another node ends a transaction, whether it took effect before EXEC was proposed or is ahead of it in the order then.
func TestWatchOnANode(t *testing.T) {
	o := newOrder(t, nil)
	a, b := serveOn(t, o.nodes[0].service), serveOn(t, o.nodes[1].service)
	exec := func() string {
		t.Helper()
		require.Equal(t, "+OK", a.do("MULTI"))
		require.Equal(t, "+QUEUED", a.do("XADD mine * a 1"))
		return a.do("EXEC")
	}
	lengths := func(key string) [2]string {
		a.do("PUBLISH behind it")
		b.do("PUBLISH behind it")
		return [2]string{a.do("XLEN %s", key), b.do("XLEN %s", key)}
	}

	require.Equal(t, "+OK", a.do("WATCH s"))
	b.do("XADD s * a 1")
	require.Equal(t, [2]string{":1", ":1"}, lengths("s"))
	assert.Equal(t, "null array", exec(), "the node has the change")
	assert.NotEqual(t, "null array", exec(), "EXEC has ended the watch")

	require.Equal(t, "+OK", a.do("WATCH s none"))
	assert.NotEqual(t, "null array", exec(), "nothing has changed")

	for _, change := range []string{"XADD s * a 1", "DEL s", "XADD s 1-1 a 1"} {
		require.Equal(t, "+OK", a.do("WATCH s"))
		require.Equal(t, "+OK", a.do("MULTI"))
		require.Equal(t, "+QUEUED", a.do("XADD mine * a 1"))
		o.hold.Lock()
		n := o.count.Load()
		b.sends(change + "\r\n")
		o.awaitProposals(n + 1)
		a.sends("EXEC\r\n")
		o.awaitProposals(n + 2)
		o.hold.Unlock()
		b.reply()
		assert.Equal(t, "null array", a.reply(), change)
	}
	assert.Equal(t, [2]string{":2", ":2"}, lengths("mine"))
	assert.Equal(t, o.nodes[0].digests, o.nodes[1].digests)
	assert.Zero(t, a.usesStreams().usage.watched.Load())
}

// The version that an entry has of a key changes with the count by which a broker alone judges.
func TestTheVersionOfAKeyIsThatOfItsState(t *testing.T) {
	s, pipes := newStreams(t, newTestStore(), 1)
	state, p := s.streams.state, pipes[0]
	now := func() (count uint64, version string) {
		require.True(t, s.runOnCore(func(broker.View) {
			w := state.Watch([]byte("s"))
			count, version = w.Version(), string(state.AppendVersion(nil, []byte("s")))
			if len(p.executor.watchedKeys()) == 0 {
				state.Unwatch(w)
			}
		}))
		return count, version
	}
	require.Equal(t, "+OK", p.do("WATCH s"))
	for _, command := range []string{
		"XADD s 5-1 a 1", "XADD s 5-2 a 1", "XADD s 5-3 a 1", "XADD other * a 1", "XDEL s 5-2", "XTRIM s MAXLEN 1", "XTRIM s MAXLEN 1", "XSETID s 9-9",
		"XSETID s 9-9 ENTRIESADDED 50 MAXDELETEDID 8-8", "EXPIRE s 1000", "PERSIST s", "XCFGSET s IDMP-DURATION 7", "XFENCE s 3", "XGROUP CREATE s g 0",
		"XREADGROUP GROUP g me STREAMS s >", "XACK s g 5-3", "DEL s", "XADD s 5-1 a 1", "XADD s 5-2 a 1 ", "FLUSHALL",
	} {
		count, version := now()
		reply := p.do("%s", command)
		require.NotContains(t, reply, "-ERR", command)
		counted, versioned := now()
		assert.Equal(t, counted != count, versioned != version, "%s: %s", command, reply)
	}
}
