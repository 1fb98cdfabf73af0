package log

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A log that gathers writes the records of some time by one call, unless they are many or something waits for them.
func TestALogThatGathersWritesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, err := Open(Options{Files: NewMemory(0), Gather: 10 * time.Millisecond}, 0, func(Record) error { return nil })
		require.NoError(t, err)
		require.NoError(t, l.Sync()) // nothing of the start waits
		began, writes := time.Now(), l.Stats().Writes
		written := func() uint64 { return l.Stats().Writes - writes }

		for range 10 {
			l.Append(1, []byte("few"))
			synctest.Wait()
		}
		assert.Zero(t, written())
		require.NoError(t, l.WaitPromised(10))
		assert.EqualValues(t, 1, written())
		assert.Equal(t, 10*time.Millisecond, time.Since(began))

		l.Append(1, []byte("another"))
		require.NoError(t, l.WaitPromised(11))
		assert.Equal(t, 20*time.Millisecond, time.Since(began), "the next one waits as long")

		l.Append(1, []byte("what Sync waits for"))
		synctest.Wait()
		require.NoError(t, l.Sync())
		for range 4 {
			l.Append(1, make([]byte, gatherBytes/4))
			synctest.Wait()
		}
		require.NoError(t, l.WaitPromised(l.Last()))
		assert.Equal(t, 20*time.Millisecond, time.Since(began), "neither waits")

		l.Append(1, []byte("what Close waits for"))
		synctest.Wait()
		require.NoError(t, l.Close())
		assert.Equal(t, 20*time.Millisecond, time.Since(began))
	})
}

// What is gathered is written before the end of the log is cut.
func TestALogThatGathersIsCut(t *testing.T) {
	for range 100 {
		files := NewMemory(0)
		l, _, err := Open(Options{Files: files, Gather: time.Hour}, 0, func(Record) error { return nil })
		require.NoError(t, err)
		require.NoError(t, l.Sync())
		l.Append(1, []byte("stays"))
		l.Append(1, []byte("goes"))
		require.NoError(t, l.CutTail(2))
		assert.EqualValues(t, 1, l.Progress().Written)
		require.NoError(t, l.Close())
	}
}
