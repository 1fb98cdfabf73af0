package backup

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/conchmq/conch/internal/log"
)

// pieceSize is how much is read and written at once.
const pieceSize = 256 << 10

// Progress is how far a backup, or a restore, is.
type Progress struct {
	Files, AllFiles int
	Bytes, AllBytes int64
}

// Result is what a backup has become.
type Result struct {
	Manifest       *Manifest
	Copied, Linked int   // files
	Written        int64 // bytes that were copied
}

// Finish makes the files that are taken the backup. The caller fills in what the manifest says of the instant. Until Finish has returned without
// an error, the earlier backup is what the folder has.
func (b *Backup) Finish(ctx context.Context, m Manifest, progress func(Progress)) (r Result, err error) {
	m.Format, m.Store, m.Number, m.Taken = format, b.o.Store, b.number, m.Taken.UTC().Truncate(time.Millisecond)
	r.Manifest = &m
	p := Progress{AllFiles: len(b.taken)}
	for _, name := range slices.Sorted(maps.Keys(b.taken)) {
		t := b.taken[name]
		f := t.known
		if f == nil {
			if f, err = b.store(ctx, t); err != nil {
				return r, err
			}
			if t.linked == "" {
				r.Copied++
				r.Written += f.Size
			} else {
				r.Linked++
			}
			t.linked = "" // it stays
			if err := b.note(partialLine{File: f}); err != nil {
				return r, explain(b.path, err)
			}
		}
		m.Files = append(m.Files, *f)
		p.Files, p.Bytes = p.Files+1, p.Bytes+f.Size
		progress(p)
	}
	if err := b.commit(&m); err != nil {
		return r, explain(b.path, err)
	}
	return r, b.tidy(&m)
}

// store brings a file into the folder, and sums it. It is durable then.
func (b *Backup) store(ctx context.Context, t *taken) (*File, error) {
	f := &File{Name: t.name, Stored: b.stored(t.name)}
	if t.linked != "" {
		return f, b.sumLinked(ctx, t, f)
	}
	defer func() {
		_ = t.from.Close() // it was read only
		t.from = nil
	}()
	if err := describe(f, t.from); err != nil {
		return nil, err
	}
	to, err := b.files.Create(f.Stored+".tmp", 0)
	if err != nil {
		return nil, explain(b.path, err)
	}
	err = b.transfer(ctx, f, t.from, to)
	if err == nil {
		err = to.Sync()
	}
	if closing := to.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = b.files.Rename(f.Stored+".tmp", f.Stored)
	}
	if err != nil {
		_ = b.files.Remove(f.Stored + ".tmp") // its space is needed
		return nil, b.explain(err)
	}
	return f, nil
}

// explain leaves alone what is no failure of the folder.
func (b *Backup) explain(err error) error {
	var failed *sourceError
	if errors.Is(err, context.Canceled) || errors.As(err, &failed) {
		return err
	}
	return explain(b.path, err)
}

// sourceError is that of a file that cannot be read.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return "the store cannot be read: " + e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// describe fills in the size of a file, and when it was changed.
func describe(f *File, from *os.File) error {
	info, err := from.Stat()
	if err != nil {
		return &sourceError{err}
	}
	f.Size, f.Modified = info.Size(), info.ModTime().UnixNano()
	return nil
}

// sumLinked sums a file that is linked. It is synced, because the index at its end may not be.
func (b *Backup) sumLinked(ctx context.Context, t *taken, f *File) error {
	from, err := os.Open(filepath.Join(b.path, t.linked))
	if err != nil {
		return explain(b.path, err)
	}
	defer func() { _ = from.Close() }() // nothing was written to it
	if err := describe(f, from); err != nil {
		return err
	}
	if err := b.transfer(ctx, f, from, nil); err != nil {
		return b.explain(err)
	}
	if err := from.Sync(); err != nil {
		return explain(b.path, err)
	}
	return nil
}

// transfer reads size bytes, sums them, and writes them to a file if there is one.
func (b *Backup) transfer(ctx context.Context, f *File, from io.ReaderAt, to log.File) error {
	sums := newSummer()
	buf := make([]byte, pieceSize)
	for at := int64(0); at < f.Size; {
		n, err := from.ReadAt(buf[:min(pieceSize, f.Size-at)], at)
		if n == 0 {
			return &sourceError{fmt.Errorf("%s: %w", f.Name, errors.Join(err, io.ErrUnexpectedEOF))}
		}
		sums.add(buf[:n])
		if to != nil {
			if err := writeAll(to, buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		moved := int64(n)
		if to != nil {
			moved *= 2 // it was read and written
		}
		if err := b.pace.wait(ctx, moved); err != nil {
			return err
		}
	}
	f.Sums = sums.text()
	return nil
}

// writeAll writes p, also by several calls.
func writeAll(to io.WriterAt, p []byte, at int64) error {
	for len(p) > 0 {
		n, err := to.WriteAt(p, at)
		if p, at = p[n:], at+int64(n); err != nil {
			return err
		}
		if n == 0 {
			return io.ErrShortWrite
		}
	}
	return nil
}

// summer sums each MiB.
type summer struct {
	sum   uint32
	size  int // bytes that sum has
	texts []byte
}

func newSummer() *summer { return new(summer) }

func (s *summer) add(p []byte) {
	for len(p) > 0 {
		n := min(len(p), sumEvery-s.size)
		s.sum = crc32.Update(s.sum, castagnoli, p[:n])
		if s.size, p = s.size+n, p[n:]; s.size == sumEvery {
			s.end()
		}
	}
}

func (s *summer) end() {
	s.texts = append(s.texts, hexSum(s.sum)...)
	s.sum, s.size = 0, 0
}

func (s *summer) text() string {
	if s.size > 0 {
		s.end()
	}
	return string(s.texts)
}

// pace bounds how many bytes a second are read and written.
type pace struct {
	rate int64
	from time.Time
	done int64
}

// wait waits until the bytes so far are due. It returns the error of a context that has ended.
func (p *pace) wait(ctx context.Context, bytes int64) error {
	if err := ctx.Err(); err != nil || p.rate <= 0 {
		return err
	}
	if p.from.IsZero() {
		p.from = time.Now()
	}
	p.done += bytes
	due := time.Duration(float64(p.done) / float64(p.rate) * float64(time.Second))
	if due = due - time.Since(p.from); due < time.Millisecond {
		return nil
	}
	timer := time.NewTimer(due)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
