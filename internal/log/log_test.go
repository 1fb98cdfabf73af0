package log

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/conchmq/conch/internal/testseed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// payload is what the tests append under a number: its bytes tell which life and which number they are of.
func payload(rng *rand.Rand, life, number uint64, longest int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, life)
	b = binary.LittleEndian.AppendUint64(b, number)
	for range rng.IntN(longest/8 + 1) {
		b = binary.LittleEndian.AppendUint64(b, rng.Uint64())
	}
	return b
}

// collect returns a function for Open that keeps what it gets.
func collect(records *[]Record) func(Record) error {
	return func(r Record) error {
		r.Payload = bytes.Clone(r.Payload)
		*records = append(*records, r)
		return nil
	}
}

// keep passes for Files that stay open over a log.
type keep struct{ Files }

func (keep) Close() error { return nil }

// scan returns all records of a log.
func scan(t *testing.T, l *Log) (records []Record) {
	t.Helper()
	require.NoError(t, l.Scan(1, 1<<62, collect(&records)))
	return records
}

// What is appended is there after a clean stop, in its order, also from memory and from files; the numbers have no gap.
func TestRecordsComeBack(t *testing.T) {
	for _, fsync := range []Fsync{No, Always, Fsync(1e6)} {
		t.Run(fsync.String(), func(t *testing.T) {
			seed := testseed.New()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 0))
			directory, err := OpenDirectory(t.TempDir())
			require.NoError(t, err)
			defer func() { require.NoError(t, directory.Close()) }()
			o := Options{Files: keep{directory}, Fsync: fsync, SegmentSize: 20_000, Recent: 1}
			var model []Record
			for life := uint64(1); life <= 3; life++ {
				var found []Record
				l, recovery, err := Open(o, 0, collect(&found))
				require.NoError(t, err)
				require.Equal(t, model, found)
				require.True(t, recovery.Clean)
				require.Empty(t, recovery.Damages)
				require.Zero(t, recovery.Cut)
				for range 300 {
					r := Record{Number: uint64(len(model) + 1), Term: rng.Uint64N(1 << 56), Kind: byte(rng.IntN(MaxKind))}
					longest := 200
					switch rng.IntN(200) {
					case 0, 1:
						longest = 50_000
					case 2: // about a chunk, or several
						longest = 3 * chunkSize
					}
					r.Payload = payload(rng, life, r.Number, longest)
					require.Equal(t, r.Number, l.AppendTerm(r.Term, r.Kind, r.Payload))
					model = append(model, r)
				}
				require.Equal(t, model, scan(t, l))
				require.NoError(t, l.Sync())
				require.Equal(t, model, scan(t, l))
				assert.EqualValues(t, len(model), l.Progress().Synced)
				require.NoError(t, l.Close())
				assert.ErrorIs(t, l.Close(), ErrClosed)
				assert.Zero(t, l.Append(0, nil))
			}
			var found []Record
			l, recovery, err := Open(o, 500, collect(&found))
			require.NoError(t, err)
			assert.Equal(t, model[500:], found)
			assert.EqualValues(t, len(model), recovery.Last)
			require.NoError(t, l.Close())
		})
	}
}

// Progress reports each record once it is as safe as the policy demands.
func TestProgress(t *testing.T) {
	for _, fsync := range []Fsync{No, Always, Fsync(1e6)} {
		t.Run(fsync.String(), func(t *testing.T) {
			reports := make(chan Progress, 1000)
			l, _, err := Open(Options{Files: NewMemory(0), Fsync: fsync, Progress: func(p Progress) { reports <- p }}, 0, nil)
			require.NoError(t, err)
			last := Progress{}
			for n := uint64(1); n <= 100; n++ {
				require.Equal(t, n, l.Append(1, fmt.Append(nil, n)))
				for last.Promised < n {
					p := <-reports
					assert.GreaterOrEqual(t, p.Promised, last.Promised)
					assert.GreaterOrEqual(t, p.Synced, last.Synced)
					assert.GreaterOrEqual(t, p.Written, p.Synced)
					last = p
				}
				if fsync == Always {
					assert.GreaterOrEqual(t, last.Synced, n)
				}
			}
			require.NoError(t, l.Sync())
			assert.Zero(t, l.Unsynced())
			require.NoError(t, l.Close())
		})
	}
}

func TestParseFsync(t *testing.T) {
	for text, want := range map[string]Fsync{"always": Always, "no": No, "1s": 1e9, "250ms": 250e6} {
		fsync, err := ParseFsync(text)
		require.NoError(t, err)
		assert.Equal(t, want, fsync)
		assert.Equal(t, text, fsync.String())
	}
	for _, text := range []string{"", "0s", "1us", "-1s", "yes", "24h"} {
		_, err := ParseFsync(text)
		assert.ErrorContains(t, err, "use always, no, or a duration", text)
	}
}

// Each start begins an epoch, which ends where the next one begins; the newest ones are listed.
func TestEpochs(t *testing.T) {
	files := keep{NewMemory(0)}
	for life, last := range []uint64{0, 10, 10, 25} {
		l, recovery, err := Open(Options{Files: files}, 0, func(Record) error { return nil })
		require.NoError(t, err)
		require.Len(t, recovery.Epochs, life)
		require.NoError(t, l.Begin(uint64(100+life), last))
		l.Append(1, nil)
		require.NoError(t, l.Sync())
		if life != 1 {
			require.NoError(t, l.Close())
		} else {
			defer func() { _ = l.Close() }() // as if it were killed
		}
	}
	l, recovery, err := Open(Options{Files: files}, 0, func(Record) error { return nil })
	require.NoError(t, err)
	want := []Epoch{{100, 1, 10, true}, {101, 11, 10, false}, {102, 11, 25, true}, {103, 26, 0, false}}
	assert.Equal(t, want, recovery.Epochs)
	require.NoError(t, l.Begin(104, 30))
	want[3].Last, want[3].Clean = 30, true
	assert.Equal(t, append(want, Epoch{104, 31, 0, false}), l.Epochs())
	require.NoError(t, l.Close())

	var m meta
	for n := range uint64(maxEpochs + 3) {
		m.begin(n, n, true)
	}
	assert.Len(t, m.epochs, maxEpochs)
	assert.EqualValues(t, 3, m.epochs[0].ID)
}

// A large record is read from memory, where it has no sum, and from the file, where it has.
func TestLargeRecords(t *testing.T) {
	d := newDisk()
	o := Options{Files: d, SegmentSize: 4096, Recent: 64 << 20, Spans: func(_ byte, payload []byte, add func(Span)) {
		add(Span{Key: 1, First: uint64(payload[0]), Count: 1})
	}}
	l, _, err := Open(o, 0, nil)
	require.NoError(t, err)
	var want []Record
	for i, size := range []int{chunkSize - headerSize, chunkSize - headerSize + 1, 10, 3 * chunkSize, chunkSize} {
		payload := bytes.Repeat([]byte{byte(i)}, size)
		l.Append(1, payload)
		want = append(want, Record{Number: uint64(i + 1), Kind: 1, Payload: payload})
	}
	check := func(l *Log) {
		t.Helper()
		assert.Equal(t, want, scan(t, l))
		pin := l.Pin(1, 0, 4)
		defer pin.Release()
		i := 0
		require.NoError(t, pin.Read(func(payload []byte) bool {
			assert.Equal(t, want[i].Payload, payload)
			i++
			return true
		}))
		assert.Len(t, want, i)
	}
	check(l)
	require.NoError(t, l.Sync())
	check(l)
	require.NoError(t, l.Close())
	var found []Record
	l, _, err = Open(o, 0, collect(&found))
	require.NoError(t, err)
	assert.Equal(t, want, found)
	check(l)
	require.NoError(t, l.Close())

	f := d.names[segmentName(2)] // each large one has a segment of its own
	f.current[len(f.current)/2] ^= 1
	l, recovery, err := Open(o, 0, collect(&found))
	require.NoError(t, err)
	require.Len(t, recovery.Damages, 1)
	assert.EqualValues(t, 2, recovery.Damages[0].First)
	require.NoError(t, l.Close())
}
