//go:build !linux

package log

import "testing"

// dropCache cannot drop what the operating system has of files.
func dropCache(tb testing.TB, _ string) {
	tb.Helper()
	tb.Skip("the page cache stays")
}
