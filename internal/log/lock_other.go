//go:build !unix || aix || solaris

package log

import "os"

// lockFile refuses a directory: there is no such lock here, and two processes would ruin what is in it. On Windows, files
// that are open can be neither renamed nor removed either, which the log does.
func lockFile(*os.File) error { return ErrNoDirectories }
