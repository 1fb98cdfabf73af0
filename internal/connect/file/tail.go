package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/conchmq/conch/internal/connect"
)

// tail reads the lines of a path, over its rotation: a file that was renamed is read to its end before the one that has its name now. It
// does not wait.
type tail struct {
	path  string
	limit int

	file   *os.File // nil while there is none
	lines  *connect.Lines
	inode  uint64
	offset int64 // behind the last whole line
	drain  bool  // the path has another file, and nothing was appended to this one since
}

// position is where a connection begins: behind a line of a file.
type position struct {
	inode  uint64
	offset int64
}

func (p position) String() string { return fmt.Sprintf("%d:%d", p.inode, p.offset) }

func parsePosition(text string) (p position, err error) {
	if _, err = fmt.Sscanf(text, "%d:%d", &p.inode, &p.offset); err != nil || p.String() != text || p.offset < 0 {
		return p, fmt.Errorf("the position %.60q is none of a file, such as 1234:0", text)
	}
	return p, nil
}

// begin opens the file of a position: that of the path, or one in its folder that was renamed meanwhile. Without it, it begins with the
// file that there is.
func (t *tail) begin(at position) error {
	for _, path := range append([]string{t.path}, t.neighbors()...) {
		info, err := os.Stat(path)
		if err != nil || inodeOf(info) != at.inode || info.Size() < at.offset || !info.Mode().IsRegular() {
			continue
		}
		return t.open(path, at.offset)
	}
	return t.open(t.path, 0)
}

// neighbors are the files whose names begin as that of the path does.
func (t *tail) neighbors() []string {
	entries, _ := os.ReadDir(filepath.Dir(t.path)) // without them, there is the path
	var all []string
	for _, e := range entries {
		if name := e.Name(); len(name) > len(filepath.Base(t.path)) && name[:len(filepath.Base(t.path))] == filepath.Base(t.path) {
			all = append(all, filepath.Join(filepath.Dir(t.path), name))
		}
	}
	return all
}

// beginAtEnd begins behind what the file has now.
func (t *tail) beginAtEnd() error {
	info, err := os.Stat(t.path)
	if err != nil {
		return t.open(t.path, 0)
	}
	return t.open(t.path, info.Size())
}

// open opens a file at an offset. A path without a file is no error: it may come.
func (t *tail) open(path string, offset int64) error {
	t.close()
	f, info, err := openRegular(path, os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.Seek(offset, io.SeekStart)
	if err != nil {
		_ = f.Close() // nothing was read
		return err    //nolint:wrapcheck // names the path
	}
	t.file, t.lines, t.inode, t.offset, t.drain = f, connect.NewLines(f, t.limit), inodeOf(info), offset, false
	return nil
}

// next returns the next whole line. At the end of what there is, and without a file, its error is io.EOF.
func (t *tail) next() ([]byte, error) {
	for {
		if t.file == nil {
			if err := t.open(t.path, 0); err != nil {
				return nil, err
			}
			if t.file == nil {
				return nil, io.EOF
			}
		}
		line, size, err := t.lines.Next()
		if err == nil {
			t.offset += size
			return line, nil
		}
		if !errors.Is(err, io.EOF) {
			return nil, err //nolint:wrapcheck // names the path
		}
		on, err := t.turn()
		if err != nil || !on {
			return nil, err
		}
	}
}

// turn is called at the end of a file. on is false, with io.EOF, if there is nothing more to read now.
func (t *tail) turn() (on bool, err error) {
	held, err := t.file.Stat()
	if err != nil {
		return false, err //nolint:wrapcheck // names the path
	}
	if held.Size() < t.offset { // truncated, and written again
		return true, t.open(t.path, 0)
	}
	named, err := os.Stat(t.path)
	switch {
	case err != nil || os.SameFile(named, held):
		t.drain = false
		return false, io.EOF
	case !t.drain: // it was renamed: what was written between the last read and the new file is read once more
		t.drain = true
		return true, nil
	}
	return true, t.open(t.path, 0)
}

func (t *tail) position() string { return position{t.inode, t.offset}.String() }

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close() // it was read
		t.file = nil
	}
}
