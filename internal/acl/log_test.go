package acl

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func refused(object string) Entry {
	return Entry{Reason: ReasonChannel, Context: "toplevel", Object: object, Username: "alice", Client: "id=1"}
}

func TestLogCountsWhatIsRepeated(t *testing.T) {
	var l Log
	l.Add(refused("a"), now)
	l.Add(refused("b"), now)
	again := refused("a")
	again.Client = "id=2"
	l.Add(again, now.Add(time.Minute))
	want := again
	want.Count, want.ID, want.Created, want.Updated = 2, 0, now, now.Add(time.Minute)
	require.Len(t, l.Entries(10), 2)
	assert.Equal(t, want, l.Entries(10)[0], "the last one comes first")
	assert.Equal(t, "b", l.Entries(10)[1].Object)

	l.Add(refused("a"), now.Add(2*time.Minute+time.Millisecond))
	assert.Len(t, l.Entries(10), 3, "a minute after the last time it is something new")
	assert.EqualValues(t, 2, l.Entries(1)[0].ID)
}

func TestLogTellsApart(t *testing.T) {
	var l Log
	l.Add(refused("a"), now)
	for i, change := range []func(e *Entry){
		func(e *Entry) { e.Reason = ReasonCommand },
		func(e *Entry) { e.Context = "multi" },
		func(e *Entry) { e.Object = "b" },
		func(e *Entry) { e.Username = "bob" },
	} {
		e := refused("a")
		change(&e)
		l.Add(e, now)
		assert.Len(t, l.Entries(10), i+2)
	}
}

func TestLogIsBounded(t *testing.T) {
	var l Log
	for i := range 200 {
		l.Add(refused(fmt.Sprint(i)), now)
	}
	all := l.Entries(1000)
	require.Len(t, all, 128)
	assert.Equal(t, "199", all[0].Object)
	assert.Equal(t, "72", all[127].Object)
	assert.Empty(t, l.Entries(-1))
	l.Add(refused("189"), now)
	assert.EqualValues(t, 200, l.Entries(1)[0].ID, "only the ten newest are looked at")
	l.Reset()
	assert.Empty(t, l.Entries(10))
	l.Add(refused("a"), now)
	assert.EqualValues(t, 201, l.Entries(1)[0].ID, "numbers do not start again")
}
