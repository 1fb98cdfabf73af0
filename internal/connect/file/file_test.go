package file

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/drivertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// add appends to a file, as another program does.
func add(t *testing.T, path, text string) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = f.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// lines are the numbers from a to b.
func lines(a, b int) string { return strings.Join(append(drivertest.Payloads(a, b), ""), "\n") }

func TestWhatIsAppendedIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	source := drivertest.OpenSource(t, System, "file://"+path, connect.Start{}) // there is no file yet
	add(t, path, lines(0, 10_000))
	all := drivertest.Read(t, source, 10_000)
	for i, m := range all {
		require.Equal(t, fmt.Sprint(i), string(m.Payload))
	}
	assert.Equal(t, path, all[0].Meta["path"])
	add(t, path, "10000\n100")
	assert.Equal(t, "10000", drivertest.ReadPayloads(t, source, 1)[0])
	add(t, path, "01\n")
	assert.Equal(t, "10001", drivertest.ReadPayloads(t, source, 1)[0], "a line is a message once it is whole")
}

func TestWhereAFileIsBegun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	add(t, path, lines(0, 10))
	fromNow := drivertest.OpenSource(t, System, "file://"+path, connect.Start{})
	fromStart := drivertest.OpenSource(t, System, "file://"+path+"?from=start", connect.Start{})
	durable := drivertest.OpenSource(t, System, "file://"+path, connect.Start{Durable: true})
	all := drivertest.Read(t, durable, 10)
	kept := connect.Start{Durable: true, Positions: map[string]string{all[6].Partition: all[6].Position}}
	behind := drivertest.OpenSource(t, System, "file://"+path, kept)
	add(t, path, "10\n")
	assert.Equal(t, drivertest.Payloads(10, 11), drivertest.ReadPayloads(t, fromNow, 1))
	assert.Equal(t, drivertest.Payloads(0, 11), drivertest.ReadPayloads(t, fromStart, 11))
	assert.Equal(t, drivertest.Payloads(7, 11), drivertest.ReadPayloads(t, behind, 4))

	// A connection goes on where the one before was; on a durable topic where conch is.
	drivertest.Reconnect(t, fromNow, connect.Start{})
	drivertest.Reconnect(t, behind, kept)
	add(t, path, "11\n")
	assert.Equal(t, drivertest.Payloads(11, 12), drivertest.ReadPayloads(t, fromNow, 1))
	assert.Equal(t, drivertest.Payloads(7, 12), drivertest.ReadPayloads(t, behind, 5))

	wrong := connect.Start{Durable: true, Positions: map[string]string{partition: "12:x"}}
	source, err := newSource(drivertest.Address(t, System, "file://"+path))
	require.NoError(t, err)
	require.ErrorAs(t, source.Connect(t.Context(), wrong), new(*connect.Permanent))
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	source := drivertest.OpenSource(t, System, "file://"+path, connect.Start{})
	var want, got []string
	for i := range 20 { // by another name, while the writer of the old file goes on
		add(t, path, fmt.Sprintf("a%d\n", i))
		want = append(want, fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i))
		got = append(got, drivertest.ReadPayloads(t, source, 1)...) // the file is open
		old := fmt.Sprintf("%s.%d", path, i)
		require.NoError(t, os.Rename(path, old))
		add(t, old, fmt.Sprintf("b%d\n", i))
		if i%2 == 0 {
			got = append(got, drivertest.ReadPayloads(t, source, 1)...)
			continue
		}
		add(t, path, fmt.Sprintf("c%d\n", i))
		want = append(want, fmt.Sprintf("c%d", i))
		got = append(got, drivertest.ReadPayloads(t, source, 2)...)
	}
	assert.Equal(t, want, got)
}

func TestTruncation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	source := drivertest.OpenSource(t, System, "file://"+path, connect.Start{})
	add(t, path, lines(0, 100))
	drivertest.Read(t, source, 100)
	require.NoError(t, os.Truncate(path, 0))
	add(t, path, "again\n")
	assert.Equal(t, []string{"again"}, drivertest.ReadPayloads(t, source, 1))
}

// conch was away while the file was renamed: the rest of that one comes first.
func TestRotationWhileNobodyReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	add(t, path, lines(0, 10))
	source := drivertest.OpenSource(t, System, "file://"+path+"?from=start", connect.Start{})
	drivertest.Read(t, source, 10)
	require.NoError(t, source.Close(t.Context()))
	add(t, path, lines(10, 20))
	require.NoError(t, os.Rename(path, path+".1"))
	add(t, path, lines(20, 30))
	require.NoError(t, source.Connect(t.Context(), connect.Start{}))
	assert.Equal(t, drivertest.Payloads(10, 30), drivertest.ReadPayloads(t, source, 20))
}

func TestAFileThatIsReadOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	add(t, path, lines(0, 10)+"10")
	source := drivertest.OpenSource(t, System, "file://"+path+"?follow=false", connect.Start{})
	assert.Equal(t, drivertest.Payloads(0, 11), drivertest.ReadPayloads(t, source, 11))
	require.ErrorIs(t, drivertest.ReadError(t, source), connect.ErrEnd)
}

func TestLinesToAFile(t *testing.T) {
	for _, query := range []string{"", "?fsync=true"} {
		path := filepath.Join(t.TempDir(), "log")
		add(t, path, "cut") // by a crash
		sink := drivertest.OpenSink(t, System, "file://"+path+query)
		for i := 0; i < 5_000; i += 250 {
			require.NoError(t, drivertest.Write(t, sink, drivertest.Numbers(i, i+250)))
		}
		require.NoError(t, os.Rename(path, path+".1"))
		batch := drivertest.Numbers(5_000, 5_003)
		batch[1].Payload = []byte("a\nb")
		refused := (*connect.Refused)(nil)
		require.ErrorAs(t, drivertest.Write(t, sink, batch), &refused)
		assert.Equal(t, []int{1}, refused.Indices)
		old, err := os.ReadFile(path + ".1")
		require.NoError(t, err)
		assert.Equal(t, "cut\n"+lines(0, 5_000), string(old))
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, "5000\n5002\n", string(text))
	}
}

func TestWhatAnAddressNeeds(t *testing.T) {
	for text, wrong := range map[string]string{
		"file:relative":        "the address is file:///PATH",
		"file://host/path":     "the address is file:///PATH",
		"file:///p?from=when":  "from is start or now",
		"file:///p?follow=1":   "follow is true, or false",
		"file:///p?follow=no":  "",
		"file:///p?from=start": "",
	} {
		_, err := newSource(drivertest.Address(t, System, text))
		if wrong == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, wrong, text)
		}
	}
}
