package command

import (
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testOrder holds what was proposed until the test applies it.
type testOrder struct{ proposals chan OrderedEntry }

func (o *testOrder) Propose(body []byte, token any) error {
	o.proposals <- OrderedEntry{Body: slices.Clone(body), Token: token, Finish: func(uint64) []byte { return nil }}
	return nil
}
func (*testOrder) Full() error { return nil }
func (*testOrder) Leads() bool { return true }

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
