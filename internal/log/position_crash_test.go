package log_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/log"
	conchstore "github.com/conchmq/conch/internal/store"
	"github.com/conchmq/conch/internal/testseed"
	"github.com/conchmq/conch/server"
)

// TestCrashesOfPositions lets the machine go off while a source fills durable topics. Whatever is left, the position of each partition is that of
// the last entry that came from it: both are in the log, or neither is. So the source goes on behind it, and each message is there once.
func TestCrashesOfPositions(t *testing.T) {
	seed := *log.CrashSeed
	if seed == 0 {
		seed = testseed.New()
	}
	crashes := 0
	for i := range max(1, *log.CrashRuns/30) {
		seed := seed + uint64(i)
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { crashes += fillWithCrashes(t, seed) }) {
			t.Fatalf("-crash.seed %d -crash.runs 1 makes the same choices", seed)
		}
	}
	t.Logf("seed %d: %d crashes", seed, crashes)
	assert.Positive(t, crashes)
}

// partitions are those of the source. The entries of each go to a topic of its own.
const partitions = 3

// filling is a source over several lives of conch on one disk. The payload and the position of a message are its number in its partition.
type filling struct {
	rng       *rand.Rand
	disk      log.CrashDisk
	dir       string
	next      [partitions]int // the number of the next message
	confirmed [partitions]int // the last number that was reported as synced
}

func fillWithCrashes(t *testing.T, seed uint64) (crashes int) {
	f := &filling{rng: rand.New(rand.NewPCG(seed, 7)), disk: log.NewCrashDisk(), dir: filepath.Join(t.TempDir(), "log")}
	for range 2 + f.rng.IntN(3) {
		if f.live(t, true) {
			crashes++
		}
	}
	f.live(t, false)
	return crashes
}

// lockedDisk is the disk, with the lock of the directory that it stands for.
type lockedDisk struct {
	log.CrashDisk
	directory log.Files
}

func (d lockedDisk) Close() error { return d.directory.Close() }

// live starts conch, compares what is there, and has the source go on until the machine goes off, or enough has come. It reports whether
// there was a crash.
func (f *filling) live(t *testing.T, goesOn bool) (crashed bool) {
	kept, err := conchstore.Open(conchstore.Options{
		Dir: f.dir, Fsync: conchstore.FsyncAlways, Wrap: func(d log.Files) log.Files { return lockedDisk{f.disk, d} },
	})
	require.NoError(t, err)
	s := harness.Start(t, server.Options{Store: kept})
	kept.Start(s.Service())
	f.compare(t, s)
	if goesOn {
		f.disk.StopBehind(1 + f.rng.IntN(5<<f.rng.IntN(6)))
		f.fill(t, s)
	}
	s.Stop()
	crashed = errors.Join(kept.Failed(), kept.Close(0)) != nil
	if f.rng.IntN(3) == 0 {
		f.disk.Kill()
	} else {
		f.disk.PowerOff(f.rng)
	}
	return crashed
}

// compare holds that the log has the entries up to each position, and no further one.
func (f *filling) compare(t *testing.T, s *harness.Server) {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Options{Addr: s.Addr})
	require.NoError(t, err)
	defer func() { assert.NoError(t, c.Close()) }()
	settings := s.Dial(t)
	defer func() { _ = settings.Close() }() // it was read
	settings.Command("CONFIG", "SET", "durable", "d*")
	reply, err := settings.Frame()
	require.NoError(t, err)
	require.Equal(t, "+OK\r\n", string(reply))
	positions := s.Service().Positions("in")
	for p := range partitions {
		last := 0
		for e, err := range c.Range(t.Context(), topic(p), client.Span{}) {
			require.NoError(t, err)
			last++
			require.Equal(t, strconv.Itoa(last), e.Get("message"), "partition %d", p)
		}
		at, _ := strconv.Atoi(positions[topic(p)]) // none is 0
		require.Equal(t, last, at, "the position of partition %d is that of its last entry", p)
		require.GreaterOrEqual(t, last, f.confirmed[p], "partition %d has what was reported as synced", p)
		require.Less(t, last, max(f.next[p], 1), "partition %d has what was published", p)
		f.confirmed[p], f.next[p] = last, last+1
	}
}

func topic(partition int) string { return fmt.Sprint("d", partition) }

// fill publishes batches, of which several are on their way at once.
func (f *filling) fill(t *testing.T, s *harness.Server) {
	feed, err := s.Service().OpenFeed("in")
	require.NoError(t, err)
	defer feed.Close()
	for range 5 + f.rng.IntN(30) {
		batch, last := f.batch(), f.next
		feed.Publish(batch, func(r command.FeedResult) { // one goroutine, in the order of the batches; Close waits for it
			if r.Err != nil {
				return
			}
			assert.Equal(t, len(batch), r.Published)
			for p := range partitions {
				f.confirmed[p] = last[p] - 1
			}
		})
	}
}

// batch are the next messages, in runs of partitions, and some with a header, which makes an entry of its own.
func (f *filling) batch() (batch []command.FeedMessage) {
	for range 1 + f.rng.IntN(4) {
		p := f.rng.IntN(partitions)
		for range 1 + f.rng.IntN(20) {
			n := strconv.Itoa(f.next[p])
			f.next[p]++
			m := command.FeedMessage{Topic: []byte(topic(p)), Payload: []byte(n), Partition: topic(p), Position: n}
			if f.rng.IntN(4) == 0 {
				m.Headers = [][]byte{[]byte("header"), make([]byte, f.rng.IntN(600))}
			}
			batch = append(batch, m)
		}
	}
	return batch
}
