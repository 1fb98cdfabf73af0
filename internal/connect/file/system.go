// Package file reads the lines that others append to a file, over its rotation, and appends lines to one.
package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/conchmq/conch/internal/connect"
)

// System is the row of files. A file that is made and renamed between two looks, a second at most, is not read. A position is the file's inode and the offset behind a line.
var System = connect.System{
	Name: "file", Schemes: []string{"file"},
	Source: newSource, Sink: newSink,
	Meta:      []string{"path"},
	Positions: true, IDs: true,
	FileOnly: true,
}

func pathOf(a *connect.Address) (string, error) {
	if a.URL.Host != "" || !filepath.IsAbs(a.URL.Path) {
		return "", errors.New("the address is file:///PATH, with three slashes")
	}
	return filepath.Clean(a.URL.Path), nil
}

// openRegular opens a file. All else is an error, and no wait: opening a named pipe, or writing to one, would wait for another program.
func openRegular(path string, flag int) (*os.File, os.FileInfo, error) {
	f, err := os.OpenFile(path, flag|noWait, 0o600)
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // names the path
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		_ = f.Close() // nothing was read or written
		return nil, nil, err
	}
	return f, info, nil
}
