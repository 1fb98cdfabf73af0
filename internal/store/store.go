// Package store keeps streams: it joins their state, the log, and the clock of the log. With a directory it opens what an earlier
// start has left there, and writes checkpoints; without one all is in memory.
//
// The core owns the streams and the clock from Start on, and calls what is said to be the core's. Open, and Close, come before
// and after the core runs.
package store

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/log"
	"github.com/conchmq/conch/internal/logclock"
	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/internal/stream"
)

// The kinds of records.
const (
	kindChanges byte = iota // of streams, as package stream encodes them
	kindStop                // the end of an epoch that ended cleanly
)

// The log looks for space once so many entries have died, and this part of all that there are.
const (
	manyDead = 10_000
	deadPart = 16
)

// Store keeps the streams of one broker.
type Store struct {
	options  Options
	memory   *log.Memory  // nil with a directory
	layered  *log.Layered // nil in memory
	log      *log.Log
	recovery log.Recovery
	streams  *stream.Streams // the core's
	clock    *logclock.Clock // the core's
	epoch    string          // of this start
	epochs   []log.Epoch     // those that are listed; the last is this start's
	sequence uint64          // of the last message that the log knew at the start
	misfit   error           // the first change that did not fit
	skipped  int             // changes that could not be applied, because others before them were lost
	died     int             // entries, since the log was last let look for space; the core's
	last     stop            // the end of the epoch before, as far as the log knows; Open's alone

	overruled []Overruled // as Open found it

	ticker      *ticker
	checkpoints *checkpoints
	backups     backups

	reported log.Progress            // progressed's
	service  atomic.Pointer[Service] // nil before Start
	stopping chan struct{}           // closed by Stop
	once     sync.Once               // of Stop
	tasks    sync.WaitGroup          // ticker, checkpointer, and a backup
}

// Service is what a store calls, from goroutines that are not the core's.
type Service interface {
	// Synced reports that the records up to the first number are as safe as Fsync demands, and those up to the second on disk. err
	// is final.
	Synced(promised, synced uint64, err error)
	// Tick reports that the deadline of SetDeadline has come.
	Tick()
	// Replace has the streams of a log that has failed served from now on.
	Replace(*stream.Streams)
	// RunOnCore runs a function on the core, between two records. It returns false if the core has stopped.
	RunOnCore(f func(broker.View)) bool
}

// Open opens a store, and begins an epoch.
func Open(o Options) (*Store, error) {
	s := &Store{options: o.withDefaults(), ticker: newTicker(), stopping: make(chan struct{})}
	files, err := s.openFiles()
	if err != nil {
		return nil, s.openError(err)
	}
	if err := s.recover(files); err != nil {
		return nil, s.openError(err)
	}
	if err := s.begin(); err != nil {
		_ = s.log.Close() // the first error is the one that helps
		return nil, s.openError(err)
	}
	return s, nil
}

func (s *Store) openFiles() (log.Files, error) {
	if s.options.Dir != "" {
		open := log.OpenDirectory
		if s.options.ReadOnly {
			open = log.OpenOverlay
		}
		files, err := open(s.options.Dir)
		if err != nil {
			return nil, err //nolint:wrapcheck // openError does
		}
		if s.options.Wrap != nil {
			files = s.options.Wrap(files)
		}
		if s.layered, err = s.layers(files); err != nil {
			return nil, errors.Join(err, files.Close())
		}
		return s.layered, nil
	}
	s.memory = log.NewMemory(0) // Room bounds what is added; what deletes entries must not fail
	return s.memory, nil
}

// recover loads the checkpoint, and applies the records behind it. It takes over the files.
func (s *Store) recover(files log.Files) (err error) {
	var image *image
	s.checkpoints = newCheckpoints(s, files)
	if image, err = s.checkpoints.load(); err != nil {
		_ = files.Close() // the first error is the one that helps
		return err
	}
	s.streams, s.last = image.streams, image.stop
	options := log.Options{
		Files: files, Fsync: s.options.Fsync.policy(), SegmentSize: s.options.segmentSize(), Recent: s.options.recent(), Gather: s.options.Gather,
		Spans: spans, Live: s.live, Keep: keep, Progress: s.progressed, CompactRate: int64(s.options.CompactRate), Reserve: s.options.reserve(),
	}
	if s.options.ReadOnly {
		options.Live, options.Keep = s.liveSpans, nil // without Keep nothing is written again
	}
	s.log, s.recovery, err = log.Open(options, image.number, s.apply)
	if err == nil && s.layered != nil {
		s.checkpoints.renew(s.layered)
	}
	if err == nil && s.misfit != nil && len(s.recovery.Damages) == 0 {
		_ = s.log.Close() // the first error is the one that helps
		return s.misfit
	}
	return err
}

// apply applies a record of the log to the state, before the core runs.
func (s *Store) apply(r log.Record) error {
	switch r.Kind {
	case kindChanges:
		s.checkpoints.pending.Add(int64(len(r.Payload)))
		misfit, skipped, err := applyChanges(s.streams, r.Payload)
		s.misfit, s.skipped = cmp.Or(s.misfit, misfit), s.skipped+skipped
		return err
	case kindStop:
		return s.last.parse(r.Payload)
	}
	return fmt.Errorf("record %d is of the kind %d, which this version of conch does not know: it was written by a newer one", r.Number, r.Kind)
}

// begin begins the epoch of this start.
func (s *Store) begin() error {
	s.sequence = max(s.last.sequence, s.streams.Sequence())
	s.clock = logclock.New(max(s.last.time, s.streams.Time()))
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails: without randomness the process ends
	s.epoch = position.NewEpoch(binary.NativeEndian.Uint64(random[:]))
	id, err := strconv.ParseUint(s.epoch, 16, 64)
	if err != nil {
		return fmt.Errorf("epoch %s: %w", s.epoch, err)
	}
	if err := s.log.Begin(id, s.sequence); err != nil {
		return err
	}
	s.epochs = s.log.Epochs()
	s.setSettings()
	return nil
}

// Start starts the goroutines of a store. The core runs by now, or is about to.
func (s *Store) Start(service Service) {
	s.service.Store(&service)
	s.tasks.Go(func() { s.ticker.run(s.stopping, service.Tick) })
	s.tasks.Go(func() { s.checkpoints.run(s.stopping, service) })
}

// Stop ends these goroutines. The core still runs, and nothing is appended any more. It may be called more than once.
func (s *Store) Stop() {
	s.once.Do(func() { s.backups.stop(); close(s.stopping) })
	s.tasks.Wait()
}

// Close writes and syncs all that was appended, and ends the epoch at the number of the last message. The core has ended.
func (s *Store) Close(sequence uint64) error {
	s.Stop()
	var err error
	if s.memory == nil && !s.options.ReadOnly && s.log.Failed() == nil {
		s.sequence = max(sequence, s.sequence)
		s.log.Append(kindStop, stop{s.sequence, s.clock.Now()}.append(nil))
		err = s.checkpoints.last() // it has that record, so that the next start reads none
	}
	return errors.Join(err, s.log.Close())
}

// progressed is called by one goroutine of the log at a time, after each group.
func (s *Store) progressed(p log.Progress) {
	service, news := s.service.Load(), p.Promised > s.reported.Promised || p.Synced > s.reported.Synced || p.Err != nil
	if s.reported = p; service != nil && news {
		(*service).Synced(p.Promised, p.Synced, p.Err)
	}
	if p.Err != nil {
		s.options.Log.Error().Err(p.Err).Msg("a write or a sync of the log has failed: nothing is appended until a restart")
		s.checkpoints.broken <- struct{}{} // it comes once
	}
}

// safe is the number of the last record that is as safe as Fsync can make it.
func (s *Store) safe() uint64 {
	p := s.log.Progress()
	if s.options.Fsync == FsyncNo {
		return p.Written
	}
	return p.Synced
}

// Streams is the state; the core's.
func (s *Store) Streams() *stream.Streams { return s.streams }

// Now reads the clock of the log, in milliseconds; the core's.
func (s *Store) Now() int64 { return s.clock.Now() }

// Append appends a record of changes, and returns its number. It never waits; the core's.
func (s *Store) Append(changes []byte) uint64 {
	n := s.log.Append(kindChanges, changes)
	s.checkpoints.appended(len(changes))
	return n
}

// Last is the number of the last record.
func (s *Store) Last() uint64 { return s.log.Last() }

// Pin holds entries of a stream as they are now; the core's.
func (s *Store) Pin(key, first, last uint64) Pin { return s.log.Pin(key, first, last) }

// Pin is what Store.Pin returns. Its methods are for other goroutines than the core's, but Recent.
type Pin = interface {
	Read(f func(payload []byte) bool) error
	ReadFrom(first uint64, f func(payload []byte) bool) error
	ReadBack(f func(payload []byte) bool) error
	Recent() bool
	Release()
}

// HasBarriers reports whether replies wait for the log.
func (s *Store) HasBarriers() bool { return s.memory == nil && s.options.Fsync != FsyncNo }

// Died reports that so many entries have died. Once they are many, or if the disk is full, the log looks for space to give back now; else
// a little later. Segments behind the last checkpoint stay, so a full disk needs a new one. The core's.
func (s *Store) Died(entries int) {
	full := s.log.Err() != nil
	c := s.checkpoints
	if full && (c.running.Load() || c.pending.Load() >= min(s.options.segmentSize(), s.options.CheckpointEvery)) {
		c.request()
	}
	if s.died += entries; full || s.died >= max(manyDead, s.streams.Entries()/deadPart) {
		s.died = 0
		s.log.Dead()
	} else {
		s.log.Died()
	}
}

// Compact gives back the space of all dead entries, however little of a file they are. It does that in the background, behind a new
// checkpoint: the files behind that stay. Any goroutine may call it.
func (s *Store) Compact() {
	s.checkpoints.compact.Store(true)
	s.checkpoints.request()
}

// Room reports whether that many bytes more are within Options.Memory; the core's.
func (s *Store) Room(bytes int) bool {
	used := s.streams.Memory() + int64(bytes)
	if s.memory != nil {
		used += s.memory.Used() + s.log.Unsynced()
	}
	return s.options.Memory <= 0 || used <= s.options.Memory
}

// SetDeadline sets when Service.Tick is called next, by the clock of the log; 0 is never. A tick uses it up. The core's.
func (s *Store) SetDeadline(at int64) {
	if at == 0 {
		s.ticker.set(time.Time{})
		return
	}
	s.ticker.set(time.Now().Add(s.clock.Until(at)))
}

// Unsynced is how many bytes wait for a sync. Any goroutine may call it, and what follows.
func (s *Store) Unsynced() int64 { return s.log.Unsynced() }

// Err is nil, or the reason for which nothing can be appended.
func (s *Store) Err() error { return s.log.Err() }

// Failed is nil, or the failure of the log, which is final.
func (s *Store) Failed() error { return s.log.Failed() }

// Epoch names the sequence numbers of this start.
func (s *Store) Epoch() string { return s.epoch }

// Sequence is the number of the last message before this start.
func (s *Store) Sequence() uint64 { return s.sequence }

// Resolve returns the number in this epoch that a position of an earlier one has, if that is known.
func (s *Store) Resolve(epoch string, number uint64) (same uint64, ok bool) {
	return resolve(s.epochs, epoch, number)
}

// Position returns the number in this epoch of a position of any epoch that is listed, for what is in the log.
func (s *Store) Position(epoch string, number uint64) (same uint64, ok bool) {
	return positionOf(s.epochs, epoch, number)
}

// Earlier returns the epochs whose positions Resolve knows, the newest first, and not very many.
func (s *Store) Earlier() []string { return earlier(s.epochs) }

// Recovery is what the log was found like, and how many changes could not be applied, because others before them were lost.
func (s *Store) Recovery() (r log.Recovery, skipped int) { return s.recovery, s.skipped }
