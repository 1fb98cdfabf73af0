package store

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/log"
)

// keyFile writes a key of one digit.
func keyFile(t *testing.T, digit string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key"+digit)
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat(digit, 64)), 0o600))
	return path
}

// contains reports whether a file of a directory has some text.
func contains(t *testing.T, dir, text string) bool {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	for _, name := range names {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		if bytes.Contains(content, []byte(text)) {
			return true
		}
	}
	return false
}

// The files of a directory with a key show neither entries nor names. Only the key opens it; another one takes its place while the store runs,
// until nothing needs the former one.
func TestEncryption(t *testing.T) {
	first, second := keyFile(t, "1"), keyFile(t, "2")
	o := Options{Dir: filepath.Join(t.TempDir(), "log"), Fsync: FsyncAlways, KeyFile: first, Compress: log.CompressZstd, SegmentSize: MinSegmentSize}
	s := open(t, o)
	var texts []string
	for i := range 2000 {
		texts = append(texts, strings.Repeat("an entry ", i%20)+"of a patient")
		s.add("patients", texts[i])
	}
	require.NoError(t, s.Close(s.sequence))
	for _, text := range []string{"patient", "an entry"} {
		assert.False(t, contains(t, o.Dir, text), text)
	}

	for path, want := range map[string]string{
		"":     "is encrypted; name its key by --encrypt-key-file",
		second: "is encrypted with another key than the one in --encrypt-key-file; a former key is named by --encrypt-old-key-file",
	} {
		wrong := o
		wrong.KeyFile = path
		_, err := Open(wrong)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "\n")
	}
	missing := o
	missing.KeyFile = filepath.Join(t.TempDir(), "missing")
	_, err := Open(missing)
	require.EqualError(t, err, "there is no key file "+missing.KeyFile+"; make one by: (umask 077; openssl rand -hex 32 > "+missing.KeyFile+")")

	o.KeyFile, o.OldKeyFile = second, first
	s = open(t, o)
	assert.Equal(t, texts, s.entries("patients"))
	require.Positive(t, s.Status().OldKeyFiles)
	s.Start(s.core)
	s.serveUntil(func() bool { return s.Status().OldKeyFiles == 0 })
	assert.Equal(t, texts, s.entries("patients"))
	s.stop()
	require.NoError(t, s.Close(s.sequence))

	o.OldKeyFile = ""
	s = open(t, o)
	assert.Equal(t, texts, s.entries("patients"))
	assert.Empty(t, s.recovery.Damages)
	require.NoError(t, s.Close(s.sequence))
}

// A directory that was not encrypted becomes so, without a former key.
func TestEncryptionOfAnExistingDirectory(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "log"), Fsync: FsyncAlways, SegmentSize: MinSegmentSize}
	s := open(t, o)
	for range 2000 {
		s.add("patients", strings.Repeat("an entry of a patient", 5))
	}
	require.NoError(t, s.Close(s.sequence))
	require.True(t, contains(t, o.Dir, "patient"))

	o.KeyFile = keyFile(t, "1")
	s = open(t, o)
	s.Start(s.core)
	s.serveUntil(func() bool { return s.Status().OldKeyFiles == 0 })
	assert.False(t, contains(t, o.Dir, "patient"))
	assert.Len(t, s.entries("patients"), 2000)
	s.stop()
	require.NoError(t, s.Close(s.sequence))
}
