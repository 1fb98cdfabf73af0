package log

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// After Roll all records so far are in segments that are sealed, and never written again; what is appended meanwhile is in later ones.
func TestRoll(t *testing.T) {
	for _, fsync := range []Fsync{No, Always, Fsync(1e6)} {
		t.Run(fsync.String(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			files := NewMemory(0)
			l, _, err := Open(Options{Files: files, Fsync: fsync, SegmentSize: 5000}, 0, func(Record) error { return nil })
			require.NoError(t, err)
			last, segment, err := l.Roll()
			require.NoError(t, err)
			assert.Zero(t, last)
			assert.Zero(t, segment)
			require.NoError(t, l.WaitSealed(context.Background(), segment))
			number := uint64(0)
			for round := range 20 {
				for range rng.IntN(40) {
					number = l.Append(0, payload(rng, 1, number+1, 1000))
				}
				require.NoError(t, l.ReadyToRoll(context.Background()))
				last, segment, err = l.Roll()
				require.NoError(t, err)
				assert.Equal(t, number, last)
				number = l.Append(0, payload(rng, 1, number+1, 1000))
				require.NoError(t, l.WaitSealed(context.Background(), segment))
				assert.GreaterOrEqual(t, l.Progress().Synced, last)
				l.mu.Lock()
				for _, s := range l.view.segments {
					assert.Equal(t, s.id <= segment, s.last <= last, "round %d", round)
					assert.True(t, s.id > segment || s.sealed, "round %d", round)
				}
				l.mu.Unlock()
			}
			count := len(l.present())
			require.NoError(t, l.Sync())
			_, _, err = l.Roll()
			require.NoError(t, err)
			_, again, err := l.Roll()
			require.NoError(t, err)
			require.NoError(t, l.WaitSealed(context.Background(), again))
			assert.LessOrEqual(t, len(l.present()), count+1, "a segment without a record is not ended")
			require.Len(t, scan(t, l), int(number)) //nolint:gosec // few
			require.NoError(t, l.Close())
			_, _, err = l.Roll()
			require.ErrorIs(t, err, ErrClosed)
			require.ErrorIs(t, l.ReadyToRoll(context.Background()), ErrClosed)

			var found []Record
			l, recovery, err := Open(Options{Files: files, Fsync: fsync, SegmentSize: 5000}, 0, collect(&found))
			require.NoError(t, err)
			assert.True(t, recovery.Clean)
			assert.Len(t, found, int(number), fmt.Sprint(recovery)) //nolint:gosec // few
			require.NoError(t, l.Close())
		})
	}
}

// Without space for the next segment nothing is rolled, so that appends go on in the last one.
func TestRollOnAFullDisk(t *testing.T) {
	d := newDisk()
	l, _, err := Open(Options{Files: d, Fsync: Always, SegmentSize: 1 << 20}, 0, func(Record) error { return nil })
	require.NoError(t, err)
	require.NotZero(t, l.Append(0, []byte("one")))
	require.NoError(t, l.Sync())
	d.mu.Lock()
	d.fault = func(operation, _ string) (int, error) {
		if operation == "create" {
			return 0, ErrFull
		}
		return 0, nil
	}
	d.mu.Unlock()
	require.ErrorIs(t, l.ReadyToRoll(context.Background()), ErrFull)
	require.NoError(t, l.Close())
}

// A context that ends ends the wait.
func TestRollEndsWithItsContext(t *testing.T) {
	l, _, err := Open(Options{Files: NewMemory(0), Fsync: No}, 0, func(Record) error { return nil })
	require.NoError(t, err)
	require.NotZero(t, l.Append(0, []byte("one")))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, l.WaitSealed(ctx, 1), context.Canceled) // nothing has ended it
	require.NoError(t, l.Close())
}

// What is allocated beside the writer is the file of the segment behind the writer's, whenever it is requested.
func TestReadyToRollDuringWrites(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	l, _, err := Open(Options{Files: NewMemory(0), Fsync: No, SegmentSize: 2000}, 0, func(Record) error { return nil })
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for range 4 {
		waiting.Go(func() {
			for ctx.Err() == nil {
				_ = l.ReadyToRoll(ctx)
			}
		})
	}
	const n = 20_000
	for number := uint64(1); number <= n; number++ {
		l.Append(0, payload(rng, 1, number, 900))
		if number%100 == 0 {
			require.NoError(t, l.Sync())
		}
	}
	stop()
	waiting.Wait()
	require.Len(t, scan(t, l), n)
	require.NoError(t, l.Close())
}
