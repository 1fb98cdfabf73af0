package faulty

import (
	"errors"
	"io/fs"
	"os"
)

// CopyLive copies a directory of a process that runs, as a crash would leave it. A file that goes meanwhile makes it begin anew. The folder
// to must not exist.
func CopyLive(to, from string) error {
	err := os.CopyFS(to, os.DirFS(from))
	for errors.Is(err, fs.ErrNotExist) {
		if err := os.RemoveAll(to); err != nil {
			return err
		}
		err = os.CopyFS(to, os.DirFS(from))
	}
	return err
}
