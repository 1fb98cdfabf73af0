//go:build !unix || aix || solaris

package log

import "os"

// lockFile does nothing: there is no such lock here.
func lockFile(*os.File) error { return nil }
