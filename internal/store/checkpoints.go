package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync/atomic"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/log"
	"github.com/conchmq/conch/internal/stream"
)

const (
	// checkpointEvery is how many bytes of changes a checkpoint comes after: as many are applied again after a crash, at most.
	checkpointEvery = 32 << 20
	// streamsPerVisit is how many streams a visit of the core takes for a checkpoint.
	streamsPerVisit = 1000
)

// checkpoints writes the state of the streams, so that opening is a read of it and of the records behind it.
//
// A base is the whole state. A delta is what has changed since the checkpoint before; a new base comes when the deltas take
// half as much as the base. Files of an older base are removed when a newer one is durable.
type checkpoints struct {
	store *Store
	files log.Files

	pending atomic.Int64  // bytes of changes since the last one
	due     chan struct{} // has room for one
	broken  chan struct{} // the same: the log has failed
	compact atomic.Bool   // the log is to give back all space behind the next one
	visits  chan func()   // what is to run while none is written

	saved   atomic.Int64 // when the last one was written, as Unix seconds; 0 if none was
	failed  atomic.Bool  // the last one could not be written
	running atomic.Bool

	// What follows belongs to Open, then to the checkpointer, then to Close.
	number       uint64 // the record up to which the last one goes
	base, deltas int64  // bytes of the files
	names        []string
}

func newCheckpoints(s *Store, files log.Files) *checkpoints {
	return &checkpoints{store: s, files: files, due: make(chan struct{}, 1), broken: make(chan struct{}, 1), visits: make(chan func())}
}

// appended counts bytes of changes, on the core's goroutine.
func (c *checkpoints) appended(n int) {
	every := c.store.options.CheckpointEvery
	if now := c.pending.Add(int64(n)); now >= every && now-int64(n) < every {
		c.request()
	}
}

// request makes a checkpoint due. It never waits.
func (c *checkpoints) request() {
	select {
	case c.due <- struct{}{}:
	default: // one is under way, and another will follow it
	}
}

// retryFirst and retryLast are how long after a checkpoint that found no space the next is written: at first, and at most.
const (
	retryFirst = time.Second
	retryLast  = time.Minute
)

// run is the checkpointer: it writes a checkpoint whenever one is due, until stop is closed. What found no space is tried again: while
// the disk is full only a checkpoint lets what is dead be given back, and what made the disk full may be over at any time.
func (c *checkpoints) run(stop <-chan struct{}, service Service) {
	retry, wait := time.NewTimer(0), retryFirst
	retry.Stop()
	defer retry.Stop()
	for {
		select {
		case <-stop:
			return
		case <-c.broken:
			c.restore(service)
			continue
		case visit := <-c.visits:
			visit()
			continue
		case <-c.due:
		case <-retry.C:
		}
		if c.store.memory != nil { // there is nothing to open again: what is dead can go
			c.pending.Store(0)
			_ = c.store.log.CutHead(c.store.log.Last() + 1) // a failure shows in Err
		} else {
			visit := func(f func()) bool { return service.RunOnCore(func(broker.View) { f() }) }
			err := c.writeOnReserve(visit)
			if wait = min(2*wait, retryLast); !isFull(err) {
				wait = retryFirst
				retry.Stop()
			} else {
				retry.Reset(wait / 2)
			}
			if err != nil && !errors.Is(err, errStopped) {
				c.logFailure(err)
			}
		}
		if c.compact.Swap(false) {
			c.store.log.Compact()
		}
	}
}

// between runs a function on the checkpointer's goroutine, and waits for it.
func (c *checkpoints) between(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case c.visits <- func() { f(); close(done) }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// restore makes the state as of the last record that is safe, once the log has failed, and has it served.
func (c *checkpoints) restore(service Service) {
	loaded, err := c.load()
	if err == nil {
		err = c.store.log.Scan(loaded.number+1, c.store.safe(), func(r log.Record) error {
			if r.Kind != kindChanges {
				return nil
			}
			_, _, err := applyChanges(loaded.streams, r.Payload)
			return err
		})
	}
	if err != nil {
		c.store.options.Log.Error().Err(err).Msg("the streams as of the last sync cannot be read; they are not served until a restart")
		return
	}
	service.RunOnCore(func(broker.View) { c.store.streams = loaded.streams })
	service.Replace(loaded.streams)
}

func (c *checkpoints) logFailure(err error) {
	c.store.options.Log.Error().Err(err).Msg("a checkpoint could not be written; the next start takes longer")
}

// last writes a checkpoint at the end, when the core has stopped. Without space there is none: the log has all of it.
func (c *checkpoints) last() error {
	if c.store.memory != nil || c.store.log.Last() == c.number {
		return nil
	}
	err := c.writeOnReserve(func(f func()) bool { f(); return true })
	if isFull(err) {
		c.logFailure(err)
		return nil
	}
	return err
}

// writeOnReserve writes a checkpoint, on the reserve if there is no other space.
func (c *checkpoints) writeOnReserve(visit func(func()) bool) error {
	err := c.write(visit)
	if isFull(err) && c.store.log.NoSpace() {
		err = c.write(visit)
	}
	return err
}

// errStopped is returned if the core stops while a checkpoint is written.
var errStopped = errors.New("the core has stopped")

// write writes one checkpoint, unless nothing was appended since the last one: a delta would replace that one's file, of the same number, on
// which others build. visit runs a function on the core.
func (c *checkpoints) write(visit func(func()) bool) (err error) {
	var frozen *stream.Checkpoint
	pending, isKnown := int64(0), false
	onCore := func(f func()) {
		if !visit(f) {
			f() // the core has stopped: its state is no one else's until Close, which writes the next delta
		}
	}
	c.running.Store(true)
	defer func() {
		c.running.Store(false)
		c.failed.Store(err != nil)
		if err != nil && frozen != nil {
			onCore(frozen.Drop)
		}
		if isFull(err) {
			c.pending.Add(pending) // they are still to be applied again after a crash
		}
	}()
	head := header{previous: c.number}
	if !visit(func() {
		s := c.store
		head.number = s.log.Last()
		if isKnown = c.base > 0 && head.number == c.number; isKnown {
			pending = c.pending.Swap(0)
			return
		}
		head.stop = stop{max(s.sequence, s.streams.Sequence()), s.clock.Now()}
		frozen = s.streams.Freeze(c.base == 0 || 2*c.deltas >= c.base)
		pending = c.pending.Swap(0)
	}) {
		return errStopped
	}
	if isKnown {
		return c.store.log.CutHead(c.number + 1) // that may have failed for want of space
	}
	if head.base = frozen.Base(); head.base {
		head.previous = 0
	}
	// The checkpoint must not be ahead of the log: a crash would leave records that follow others than those in it. That
	// comes before its file takes space, which the log may be waiting for.
	if err := c.store.log.SyncWithSpace(); err != nil {
		return err
	}
	size := int64(0)
	err = log.Replace(c.files, head.name(), func(w io.Writer) (err error) {
		size, err = c.writeParts(w, &head, frozen, visit)
		return err
	})
	if err != nil {
		return err
	}
	onCore(frozen.Saved)
	return c.note(&head, size)
}

// writeParts writes the content of a checkpoint.
func (c *checkpoints) writeParts(w io.Writer, head *header, frozen *stream.Checkpoint, visit func(func()) bool) (size int64, err error) {
	sum := crc32.New(castagnoli)
	both := io.MultiWriter(w, sum)
	if _, err := both.Write(head.append(nil)); err != nil {
		return 0, err
	}
	size = int64(headerLen + sumLen)
	var part *stream.Part
	for done := false; !done; {
		if !visit(func() { part, done = frozen.Collect(streamsPerVisit, part) }) {
			return 0, errStopped
		}
		n, err := part.WriteTo(both)
		if size += n; err != nil {
			return 0, err
		}
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32())); err != nil {
		return 0, err
	}
	return size, nil
}

// note makes a checkpoint that is durable the last one, and lets go of what it replaces.
func (c *checkpoints) note(head *header, size int64) error {
	c.number = head.number
	c.saved.Store(time.Now().Unix())
	if !head.base {
		c.deltas += size
		c.names = append(c.names, head.name())
		return c.store.log.CutHead(c.number + 1)
	}
	older := c.names
	c.base, c.deltas, c.names = size, 0, []string{head.name()}
	for _, name := range older {
		if name == head.name() {
			continue // it was written again, with another key
		}
		if err := c.files.Remove(name); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	return c.store.log.CutHead(c.number + 1)
}
