package command

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
)

// testOrder holds what was proposed until the test applies it.
type testOrder struct {
	proposals chan OrderedEntry
	full      error
}

func (o *testOrder) Propose(body []byte, token any) error {
	o.proposals <- OrderedEntry{Parts: []OrderedPart{{slices.Clone(body), token}}, Finish: func(uint64) []byte { return nil }}
	return nil
}
func (o *testOrder) Full() error { return o.full }
func (*testOrder) Leads() bool   { return true }

// applyNext applies what was proposed first.
func (o *testOrder) applyNext(t testing.TB, a *Applier) {
	t.Helper()
	e := <-o.proposals
	require.NoError(t, a.Apply(&e))
}

// CLIENT UNBLOCK of a client whose read is proposed does not make what it reads get lost: all nodes hold that for its own.
func TestAClientIsUnblockedWhileItsReadIsProposed(t *testing.T) {
	order := &testOrder{proposals: make(chan OrderedEntry, 10)}
	s := newService(t, Options{Unprotected: true, Store: newTestStore(), Order: order})
	a := s.NewApplier()
	pipes := servePipesOf(t, s, 2)
	p, other := pipes[0], pipes[1]
	do := func(command string) string {
		other.sends(command + "\r\n")
		order.applyNext(t, a)
		return other.reply()
	}
	unblock := "CLIENT UNBLOCK " + strconv.FormatInt(p.id, 10)
	for _, c := range []struct {
		name, meanwhile, unblock, want string
	}{
		{"an entry is there", "", unblock, "[[s [[5-1 [n 1]]]]]"},
		{"another command has deleted it, and the wait ends as by its time", "XDEL s 5-1", unblock, "null array"},
		{"or with an error", "XDEL s 5-1", unblock + " ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"},
	} {
		t.Run(c.name, func(t *testing.T) {
			do("DEL s")
			do("XGROUP CREATE s g 0 MKSTREAM")
			p.sends("XREADGROUP GROUP g bob BLOCK 0 STREAMS s >\r\n")
			order.applyNext(t, a) // it finds nothing, and waits
			awaitBlocked(t, s, 1)
			if c.meanwhile == "" {
				do("XADD s 5-1 n 1")
			} else {
				other.sends("*1\r\n$5\r\nMULTI\r\nXADD s 5-1 n 1\r\n" + c.meanwhile + "\r\nEXEC\r\n")
				order.applyNext(t, a)
				for range 4 {
					other.reply()
				}
			}
			assert.Equal(t, ":1", other.do("%s", c.unblock))
			order.applyNext(t, a)
			assert.Equal(t, c.want, p.reply())
			awaitBlocked(t, s, 0)
		})
	}
	assert.Empty(t, order.proposals)
}

// A subscription that comes amid an entry gets the messages of that entry once: they are in no record yet when its replay begins.
func TestAReplayBeginsBehindAnEntry(t *testing.T) {
	order := &testOrder{proposals: make(chan OrderedEntry, 10)}
	s := newService(t, Options{Unprotected: true, Store: newTestStore(), Order: order})
	a := s.NewApplier()
	pipes := servePipesOf(t, s, 2)
	subscriber, other := pipes[0], pipes[1]
	for i, command := range []string{"CONFIG SET durable d", "PUBLISH d first", "PUBLISH d second"} {
		other.sends(command + "\r\n")
		e := <-order.proposals
		if i < 2 {
			require.NoError(t, a.Apply(&e))
			other.reply()
			continue
		}
		var part decodedPart
		require.NoError(t, a.decode(&e.Parts[0], &part))
		require.True(t, a.onCore(func(v broker.View) { s.streams.beginEntry(v, 0) }))
		require.True(t, a.applyCommands(&e.Parts[0], part.commands))
		subscriber.sends("SUB d FROM 0\n")
		assert.Equal(t, "OK SUB d\n", subscriber.line()+"\n")
		eventually(t, func() (waits bool) {
			s.runOnCore(func(broker.View) { waits = len(s.streams.entry.behind) > 0 })
			return waits
		}, "the replay waits for the end of the entry")
		require.True(t, a.onCore(func(v broker.View) { s.streams.endEntry(v, e.Finish) }))
		other.reply()
	}
	assert.Equal(t, "UPDATE d first", subscriber.line())
	assert.Equal(t, "UPDATE d second", subscriber.line())
	other.sends("PUBLISH d third\r\n")
	order.applyNext(t, a)
	assert.Equal(t, "UPDATE d third", subscriber.line())
}

// What waits for the end of an entry does not wait for one that a stop has cut off.
func TestNothingWaitsForAnEntryThatIsCutOff(t *testing.T) {
	order := &testOrder{proposals: make(chan OrderedEntry, 10)}
	s := newService(t, Options{Unprotected: true, Store: newTestStore(), Order: order})
	require.True(t, s.runOnCore(func(v broker.View) { s.streams.beginEntry(v, 0) }))
	waited := make(chan bool)
	go func() { waited <- s.RunOnCore(func(broker.View) {}) }()
	eventually(t, func() (waits bool) {
		s.runOnCore(func(broker.View) { waits = len(s.streams.entry.behind) > 0 })
		return waits
	}, "it waits")
	s.streams.abandonEntry()
	assert.False(t, <-waited)
	assert.False(t, s.RunOnCore(func(broker.View) {}))
}

// What is given up has a reply for each of its messages: those that follow each other in one read are a run.
func TestEachMessageOfARunIsRefused(t *testing.T) {
	const down, full = "-CLUSTERDOWN the cluster has no leader", "-OOM"
	order := &testOrder{proposals: make(chan OrderedEntry, 10)}
	s := newService(t, Options{Unprotected: true, Store: newTestStore(), Order: order})
	a := s.NewApplier()
	p := serveOn(t, s)
	p.sends("CONFIG SET durable d.*\r\n")
	order.applyNext(t, a)
	require.Equal(t, "+OK", p.reply())
	run := strings.Repeat("*3\r\n$7\r\nPUBLISH\r\n$3\r\nd.1\r\n$1\r\nx\r\n", 3)

	p.sends(run)
	e := <-order.proposals
	a.Lost(e.Parts[0].Token, errors.New("the cluster has no leader"))
	for range 3 {
		assert.Equal(t, down, p.reply())
	}
	order.full = ErrNoRoom
	p.sends(run)
	for range 3 {
		assert.Contains(t, p.reply(), full)
	}
	assert.Equal(t, "+PONG", p.do("PING"))

	e.Parts[0].Token = nil // it takes effect nevertheless, without the connection
	require.NoError(t, a.Apply(&e))
	assert.Equal(t, "+PONG", p.do("PING"))
	assert.Zero(t, a.replica.usage.batches.Load(), "what was charged for another batch does not count")
}
