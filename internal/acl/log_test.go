package acl

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func refused(object string) Entry {
	return Entry{Reason: ReasonChannel, Context: "toplevel", Object: object, Username: "alice"}
}

func client() string { return "id=1" }

// One read may cause thousands of denials; formatting CLIENT INFO for each would be costly.
func TestLogDescribesTheClientOfNewEntriesAndNowAndThen(t *testing.T) {
	var l Log
	described := 0
	describe := func() string { described++; return fmt.Sprint("id=", described) }
	for i := range 10_000 {
		l.Add(refused("a"), now.Add(time.Duration(i)*time.Microsecond), describe)
	}
	assert.Equal(t, 1, described)
	l.Add(refused("b"), now, describe)
	assert.Equal(t, 2, described, "a new entry")
	l.Add(refused("a"), now.Add(99*time.Millisecond), describe)
	assert.Equal(t, "id=1", l.Entries(1)[0].Client)
	l.Add(refused("a"), now.Add(100*time.Millisecond), describe)
	assert.Equal(t, "id=3", l.Entries(1)[0].Client)
	l.Add(refused("a"), now.Add(199*time.Millisecond), describe)
	assert.Equal(t, "id=3", l.Entries(1)[0].Client)
	l.Add(refused("a"), now, describe)
	assert.Equal(t, "id=4", l.Entries(1)[0].Client, "a clock that was set back")
	assert.Equal(t, 10_005-1, l.Entries(1)[0].Count)
}

func TestLogCountsWhatIsRepeated(t *testing.T) {
	var l Log
	l.Add(refused("a"), now, client)
	l.Add(refused("b"), now, client)
	l.Add(refused("a"), now.Add(time.Minute), func() string { return "id=2" })
	want := refused("a")
	want.Client, want.clientUpdated = "id=2", now.Add(time.Minute)
	want.Count, want.ID, want.Created, want.Updated = 2, 0, now, now.Add(time.Minute)
	require.Len(t, l.Entries(10), 2)
	assert.Equal(t, want, l.Entries(10)[0], "the last one comes first")
	assert.Equal(t, "b", l.Entries(10)[1].Object)

	l.Add(refused("a"), now.Add(2*time.Minute+time.Millisecond), client)
	assert.Len(t, l.Entries(10), 3, "a minute after the last time it is something new")
	assert.EqualValues(t, 2, l.Entries(1)[0].ID)
}

func TestLogTellsApart(t *testing.T) {
	var l Log
	l.Add(refused("a"), now, client)
	for i, change := range []func(e *Entry){
		func(e *Entry) { e.Reason = ReasonCommand },
		func(e *Entry) { e.Context = "multi" },
		func(e *Entry) { e.Object = "b" },
		func(e *Entry) { e.Username = "bob" },
	} {
		e := refused("a")
		change(&e)
		l.Add(e, now, client)
		assert.Len(t, l.Entries(10), i+2)
	}
}

func TestLogIsBounded(t *testing.T) {
	var l Log
	for i := range 200 {
		l.Add(refused(fmt.Sprint(i)), now, client)
	}
	all := l.Entries(1000)
	require.Len(t, all, 128)
	assert.Equal(t, "199", all[0].Object)
	assert.Equal(t, "72", all[127].Object)
	assert.Empty(t, l.Entries(-1))
	l.Add(refused("189"), now, client)
	assert.EqualValues(t, 200, l.Entries(1)[0].ID, "only the ten newest are looked at")
	l.Reset()
	assert.Empty(t, l.Entries(10))
	l.Add(refused("a"), now, client)
	assert.EqualValues(t, 201, l.Entries(1)[0].ID, "numbers do not start again")
}
