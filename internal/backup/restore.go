package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/conchmq/conch/internal/log"
)

// Damage is a file of a backup that is not as it was written.
type Damage struct {
	File   string // in the folder
	Offset int64  // of the first MiB that is damaged
	What   string
}

func (d Damage) String() string { return fmt.Sprintf("%s: offset %d: %s", d.File, d.Offset, d.What) }

// ErrDamaged is the error of a backup with damage.
var ErrDamaged = errors.New("the backup is damaged")

// Read returns what a folder has. The error is ErrNone if it has no backup.
func Read(path string) (*Manifest, error) {
	b, err := os.ReadFile(filepath.Join(path, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(path, partialName)); err == nil {
			return nil, fmt.Errorf("%w in %s that is whole: the first one was interrupted; back up into the folder again", ErrNone, path)
		}
		return nil, fmt.Errorf("%w in %s", ErrNone, path)
	}
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// Check reads a backup whole, and passes each damage on. The error is ErrDamaged if there is one.
func Check(ctx context.Context, path string, m *Manifest, damage func(Damage), progress func(Progress)) error {
	p := Progress{AllFiles: len(m.Files), AllBytes: m.Bytes()}
	found := false
	for i := range m.Files {
		f := &m.Files[i]
		err := readSummed(ctx, path, f, func([]byte, int64) error { return nil })
		if d := (*damageError)(nil); errors.As(err, &d) {
			found = true
			damage(d.damage)
		} else if err != nil {
			return err
		}
		p.Files, p.Bytes = p.Files+1, p.Bytes+f.Size
		progress(p)
	}
	if found {
		return ErrDamaged
	}
	return nil
}

// damageError is a damage, as an error.
type damageError struct{ damage Damage }

func (e *damageError) Error() string { return e.damage.String() }
func (e *damageError) Unwrap() error { return ErrDamaged }

// readSummed reads a file of a backup, and passes each MiB to f once its sum is found right.
func readSummed(ctx context.Context, path string, f *File, each func(p []byte, at int64) error) error {
	from, err := os.Open(filepath.Join(path, f.Stored))
	if errors.Is(err, fs.ErrNotExist) {
		return &damageError{Damage{f.Stored, 0, "the file is missing"}}
	}
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // it was read only
	info, err := from.Stat()
	if err != nil {
		return err
	}
	buf := make([]byte, min(sumEvery, f.Size))
	for at, i := int64(0), 0; at < f.Size; i += sumLen {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(sumEvery, f.Size-at)]
		n, err := from.ReadAt(b, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		sums := newSummer()
		sums.add(b[:n])
		switch {
		case n < len(b):
			return &damageError{Damage{f.Stored, at + int64(n), fmt.Sprintf("the file ends here, and had %d bytes", f.Size)}}
		case sums.text() != f.Sums[i:i+sumLen]:
			return &damageError{Damage{f.Stored, at, fmt.Sprintf("the checksum of %d bytes from here on is wrong", len(b))}}
		}
		if err := each(b, at); err != nil {
			return err
		}
		at += int64(n)
	}
	if info.Size() > f.Size {
		return &damageError{Damage{f.Stored, f.Size, fmt.Sprintf("the file has %d bytes more than it had", info.Size()-f.Size)}}
	}
	return nil
}

// restoring is in a directory until all of a backup is there.
const restoring = log.RestoringName

// Restore copies a backup into a directory, which it makes, or which is empty. All of the backup is read first: with damage, nothing is
// written. A restore that is interrupted leaves a directory that no conch opens, and that can be restored into again.
func Restore(ctx context.Context, path, dir string, damage func(Damage), progress func(Progress)) (*Manifest, error) {
	m, err := Read(path)
	if err != nil {
		return nil, err
	}
	if err := checkEmpty(dir); err != nil {
		return nil, err
	}
	if err := checkOutside(dir, path); err != nil {
		return nil, err
	}
	if err := Check(ctx, path, m, damage, func(Progress) {}); err != nil {
		return nil, fmt.Errorf("%s: %w: nothing is restored", path, err)
	}
	lock, err := log.LockDirectory(dir)
	if errors.Is(err, log.ErrInUse) {
		return nil, fmt.Errorf("a conch, or another restore, uses %s: stop it, or choose another directory", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be restored into: %w", dir, err)
	}
	defer func() { _ = lock.Close() }() // all is synced
	if err := checkEmpty(dir); err != nil {
		return nil, err
	}
	if err := restoreFiles(ctx, path, dir, m, progress); err != nil {
		return nil, fmt.Errorf("%s is not restored whole, and cannot be opened; restore into it again: %w", dir, err)
	}
	return m, nil
}

// checkOutside refuses a directory in the folder of the backup.
func checkOutside(dir, path string) error {
	err := checkPlace(dir, path)
	if err != nil {
		return fmt.Errorf("%s is in the folder of the backup: choose a directory outside", dir)
	}
	return nil
}

// checkEmpty refuses a directory that has anything, but for what an interrupted restore has left.
func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s cannot be restored into: %w", dir, err)
	}
	isInterrupted := slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == restoring })
	for _, e := range entries {
		if name := e.Name(); isForeign(name) && !isInterrupted {
			return fmt.Errorf("%s is not empty: %s is there; choose an empty directory, or a new one", dir, name)
		}
	}
	return nil
}

// restoreFiles writes the files of a backup.
func restoreFiles(ctx context.Context, path, dir string, m *Manifest, progress func(Progress)) error {
	mark := filepath.Join(dir, restoring)
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return err
	}
	if err := errors.Join(removeOthers(dir), syncDir(dir)); err != nil {
		return err
	}
	p := Progress{AllFiles: len(m.Files), AllBytes: m.Bytes()}
	for i := range m.Files {
		if err := restoreFile(ctx, path, dir, &m.Files[i]); err != nil {
			return err
		}
		p.Files, p.Bytes = p.Files+1, p.Bytes+m.Files[i].Size
		progress(p)
	}
	if err := syncDir(dir); err != nil { // the mark goes last
		return err
	}
	return errors.Join(os.Remove(mark), syncDir(dir))
}

// removeOthers removes what an interrupted restore has left.
func removeOthers(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if isForeign(e.Name()) && e.Name() != restoring {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

func restoreFile(ctx context.Context, path, dir string, f *File) (err error) {
	to, err := os.OpenFile(filepath.Join(dir, f.Name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closing := to.Close(); err == nil {
			err = closing
		}
	}()
	if err := readSummed(ctx, path, f, func(p []byte, at int64) error { return writeAll(to, p, at) }); err != nil {
		return err
	}
	return to.Sync()
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
