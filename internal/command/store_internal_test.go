package command

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/stream"
)

// testStore keeps all records in memory. A test says what is safe, what the time is, and what fails.
type testStore struct {
	state    *stream.Streams
	barriers bool
	ms       atomic.Int64
	deadline atomic.Int64
	unsynced atomic.Int64
	failed   atomic.Pointer[error]
	full     atomic.Bool // of memory
	onDisk   atomic.Bool // pins are not recent
	damaged  atomic.Bool
	// damagedRecords are the numbers of records that a scan finds damaged, and a pin misses.
	damagedRecords [2]atomic.Int64
	earlier        string // an epoch
	pins           atomic.Int64
	gate           chan struct{} // reads wait for it, if there is one
	onRead         func()        // comes before each read; it may be nil

	mu      sync.Mutex
	records [][]byte
}

func newTestStore() *testStore {
	s := &testStore{state: stream.New()}
	s.ms.Store(1000)
	return s
}

func (s *testStore) Streams() *stream.Streams { return s.state }
func (s *testStore) Now() int64               { return s.ms.Load() }
func (s *testStore) HasBarriers() bool        { return s.barriers }
func (s *testStore) Room(int) bool            { return !s.full.Load() }
func (s *testStore) SetDeadline(at int64)     { s.deadline.Store(at) }
func (s *testStore) Died(int)                 {}
func (s *testStore) Unsynced() int64          { return s.unsynced.Load() }
func (s *testStore) Err() error               { return s.Failed() }

func (s *testStore) Failed() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *testStore) Append(changes []byte) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = append(s.records, slices.Clone(changes))
	return uint64(len(s.records))
}

func (s *testStore) Last() uint64 { return uint64(len(s.all())) }

// all are the records so far.
func (s *testStore) all() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records
}

func (s *testStore) Pin(key, first, last uint64) Pin {
	s.pins.Add(1)
	return &testPin{store: s, key: key, first: first, last: last, records: s.all()}
}

type testPin struct {
	store            *testStore
	key, first, last uint64
	records          [][]byte
}

var errDamaged = errors.New("segment 1, offset 64: damaged")

func (p *testPin) ReadFrom(first uint64, f func([]byte) bool) error {
	rest := *p
	rest.first = max(first, p.first)
	return rest.Read(f)
}
func (p *testPin) Read(f func([]byte) bool) error     { return p.read(slices.Values(p.records), f) }
func (p *testPin) ReadBack(f func([]byte) bool) error { return p.read(backward(p.records), f) }
func (p *testPin) Recent() bool                       { return !p.store.onDisk.Load() }
func (p *testPin) Release()                           { p.store.pins.Add(-1) }

// testScan passes some records at a time. One that is damaged has a number from 1 on.
type testScan struct {
	store   *testStore
	records [][]byte
	at      int
}

func (s *testStore) Scan() Scan {
	s.pins.Add(1)
	return &testScan{store: s, records: s.all()}
}

func (s *testStore) Position(epoch string, number uint64) (uint64, bool) {
	return number, epoch == s.earlier
}

func (s *testStore) isDamaged(record int64) bool {
	return record == s.damagedRecords[0].Load() || record == s.damagedRecords[1].Load()
}

func (s *testScan) Seek(isBefore func([]byte) bool) error {
	s.at = 0
	for s.at+1 < len(s.records) && isBefore(s.records[s.at+1]) {
		s.at++
	}
	return nil
}

func (s *testScan) Back(bytes int64) (bool, error) {
	s.at = max(0, len(s.records)-int(bytes>>16))
	return s.at > 0, nil
}

func (s *testScan) Next(f func([]byte), damaged func(error)) (bool, error) {
	if s.store.gate != nil {
		<-s.store.gate
	}
	if s.at == len(s.records) {
		return false, nil
	}
	for n := 0; n < 3 && s.at < len(s.records); n++ {
		s.at++
		if s.store.isDamaged(int64(s.at)) {
			damaged(errDamaged)
		} else {
			f(s.records[s.at-1])
		}
	}
	return true, nil
}

func (s *testScan) Release() { s.store.pins.Add(-1) }

func backward(records [][]byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for _, r := range slices.Backward(records) {
			if !yield(r) {
				return
			}
		}
	}
}

func (p *testPin) read(records func(yield func([]byte) bool), f func([]byte) bool) error {
	if p.store.gate != nil {
		<-p.store.gate
	}
	if p.store.onRead != nil {
		p.store.onRead()
	}
	if p.store.damaged.Load() {
		return errDamaged
	}
	number, lost := int64(0), error(nil)
	for r := range records {
		if number++; p.store.isDamaged(number) {
			lost = errDamaged
			continue
		}
		has := false
		err := stream.EachEntry(r, p.key, func(e *stream.Entry) bool {
			has = has || p.first <= e.Ordinal && e.Ordinal <= p.last
			return !has
		})
		if err != nil {
			return err
		}
		if has && !f(r) {
			return lost
		}
	}
	return lost
}

// eventually waits for what no reply announces. The harness, which has the same, cannot be imported here.
func eventually(t testing.TB, holds func() bool, what string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Minute); !holds(); time.Sleep(time.Millisecond) { //nolint:forbidigo // a wait that is bounded
		if time.Now().After(end) {
			require.FailNow(t, "a condition never holds", what)
		}
	}
}
