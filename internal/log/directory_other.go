//go:build !linux

package log

import (
	"io/fs"
	"os"
)

func allocate(f *os.File, size int64) error { return extend(f, size) }

func syncData(f *os.File) error { return f.Sync() }

func isUnlinked(fs.FileInfo) bool { return false }
