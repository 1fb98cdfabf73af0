package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"

	"github.com/conchmq/conch/internal/log"
)

// partialName is the file of what an interrupted backup has copied: a line for each file that is whole.
const partialName = "partial.json"

// partialLine is one of these lines: which backup it is, or a file.
type partialLine struct {
	Store  string `json:"store,omitempty"`
	Number int    `json:"number,omitempty"`
	File   *File  `json:"file,omitempty"`
}

// Options are those of a backup.
type Options struct {
	Dir   string // of the store
	Store string // which store it is
	Rate  int64  // bytes a second that are read and written; 0 is no bound

	files log.Files // of the folder, for tests
}

// Backup is one that is being made. One goroutine at a time uses it.
type Backup struct {
	o        Options
	path     string
	files    log.Files
	earlier  *Manifest         // nil if there is none
	known    map[string][]File // what is in the folder, by its name in the store
	number   int               // of this backup
	taken    map[string]*taken
	canLink  bool
	partial  log.File
	partialN int64
	pace     pace
}

// Begin opens a folder for a backup, which it makes if there is none. It refuses one that has anything else.
func Begin(path string, o Options) (_ *Backup, err error) {
	b := &Backup{o: o, path: path, known: make(map[string][]File), taken: make(map[string]*taken), pace: pace{rate: o.Rate}}
	if err := checkPlace(path, o.Dir); err != nil {
		return nil, err
	}
	if b.files = o.files; b.files == nil {
		if b.files, err = log.OpenDirectory(path); err != nil {
			if errors.Is(err, log.ErrInUse) {
				return nil, fmt.Errorf("another backup into %s is running, or a conch uses it", path)
			}
			return nil, explain(path, err)
		}
	}
	_, b.canLink = b.files.(linker)
	if err := b.look(); err != nil {
		_ = b.files.Close() // the first error is the one that helps
		return nil, err
	}
	b.number++
	if err := b.start(); err != nil {
		_ = b.Close() // the first error is the one that helps
		return nil, explain(path, err)
	}
	return b, nil
}

// linker is a folder of the operating system.
type linker interface {
	Link(from, name string) error
}

// checkPlace refuses the directory of the store, and what is in it.
func checkPlace(path, dir string) error {
	own, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("the store cannot be read: %w", err)
	}
	at, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	for {
		real, err := filepath.EvalSymlinks(at)
		if errors.Is(err, fs.ErrNotExist) && filepath.Dir(at) != at {
			at = filepath.Dir(at)
			continue
		}
		if err != nil {
			return explain(path, err)
		}
		for {
			if info, err := os.Stat(real); err == nil && os.SameFile(info, own) {
				return fmt.Errorf("%s is in %s, the directory of the store: choose a folder outside", path, dir)
			}
			if filepath.Dir(real) == real {
				return nil
			}
			real = filepath.Dir(real)
		}
	}
}

// look finds out what the folder has.
func (b *Backup) look() (err error) {
	names, err := b.files.List()
	if err != nil {
		return explain(b.path, err)
	}
	b.earlier, err = readManifest(b.files)
	if err != nil && !errors.Is(err, ErrNone) {
		return fmt.Errorf("%s: %w; choose another folder, or remove that one", b.path, err)
	}
	if b.earlier == nil && !slices.Contains(names, partialName) {
		if other := slices.IndexFunc(names, isForeign); other >= 0 {
			return fmt.Errorf("%s has no backup, and is not empty: %s is there; choose an empty folder", b.path, names[other])
		}
	}
	if m := b.earlier; m != nil {
		if m.Store != b.o.Store {
			return b.isOther()
		}
		b.number = m.Number
		for _, f := range m.Files {
			b.known[f.Name] = append(b.known[f.Name], f)
		}
	}
	return b.readPartial()
}

func (b *Backup) isOther() error {
	return fmt.Errorf("%s has a backup of another store: choose another folder", b.path)
}

// isForeign reports whether a file has nothing to do with an empty folder.
func isForeign(name string) bool { return name != "lock" && name != "lost+found" }

// readPartial reads what an interrupted backup has copied. A line that is not whole is passed over.
func (b *Backup) readPartial() error {
	text, err := log.ReadFile(b.files, partialName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return explain(b.path, err)
	}
	for _, line := range bytes.SplitAfter(text, []byte("\n")) {
		l, ok := decode[partialLine](line, "")
		switch {
		case !ok:
		case l.File == nil && l.Store != b.o.Store:
			return b.isOther()
		case l.File == nil:
			b.number = max(b.number, l.Number)
		case b.isWhole(l.File):
			b.known[l.File.Name] = append(b.known[l.File.Name], *l.File)
		}
	}
	return nil
}

// isWhole reports whether a file that was copied is there.
func (b *Backup) isWhole(f *File) bool {
	file, err := b.files.Open(f.Stored)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }() // it was not written
	size, err := file.Size()
	return err == nil && size == f.Size
}

// start begins to note what is copied. The file is there before all others: a folder that has them alone would be refused.
func (b *Backup) start() (err error) {
	if b.partial, err = b.files.Open(partialName); errors.Is(err, fs.ErrNotExist) {
		if b.partial, err = b.files.Create(partialName, 0); err == nil {
			err = b.files.SyncDir()
		}
	}
	if err != nil {
		return err
	}
	if b.partialN, err = b.partial.Size(); err != nil {
		return err
	}
	return b.note(partialLine{Store: b.o.Store, Number: b.number})
}

// note adds a line. The first one ends a line that an interruption may have left.
func (b *Backup) note(l partialLine) error {
	line, err := encode(l, "")
	if err != nil {
		return err
	}
	line = append([]byte("\n"), line...)
	n, err := b.partial.WriteAt(line, b.partialN)
	if b.partialN += int64(n); err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	return err
}

// commit makes the files those of the backup.
func (b *Backup) commit(m *Manifest) error {
	if err := b.files.SyncDir(); err != nil { // the manifest must not be there without them
		return err
	}
	text, err := encode(m, manifestIndent)
	if err != nil {
		return err
	}
	return log.Replace(b.files, manifestName, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// storedName is what files of a backup are called.
var storedName = regexp.MustCompile(`\.[0-9]+(\.tmp)?$`)

// tidy removes what no longer belongs to a backup.
func (b *Backup) tidy(m *Manifest) error {
	names, err := b.files.List()
	if err != nil {
		return err
	}
	keep := make(map[string]bool, len(m.Files))
	for _, f := range m.Files {
		keep[f.Stored] = true
	}
	var errs []error
	for _, name := range names {
		if name == partialName || name == manifestName+".tmp" || storedName.MatchString(name) && !keep[name] {
			errs = append(errs, b.files.Remove(name))
		}
	}
	return errors.Join(errs...) // what is back after a crash is removed by the next one
}

// Close gives the folder up. What was copied stays for the next backup.
func (b *Backup) Close() error {
	b.Drop()
	var err error
	if b.partial != nil {
		err = b.partial.Close()
	}
	return errors.Join(err, b.files.Close())
}

// explain makes one line of an error of a folder.
func explain(path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, log.ErrFull):
		return fmt.Errorf("no space is left for the backup in %s; an earlier backup there is unharmed, and the next one goes on with what is copied", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be used for a backup: permission denied", path)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s cannot be used for a backup: its file system is read-only", path)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%s cannot be used for a backup: it is, or is in, something that is no folder", path)
	}
	return fmt.Errorf("the backup in %s cannot be written: %w", path, err)
}
