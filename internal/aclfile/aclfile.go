// Package aclfile reads and writes the file that ACL rules are kept in. All of it blocks on a disk: the core's goroutine
// must not call it.
package aclfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/acl"
)

// Err is in the chain of what [Load] returns when the file cannot be used.
var Err = errors.New("ACL file")

// Load takes the rules of a file, as they were when the server started. With a wrong one there must be no server: it
// would let the wrong people in, or nobody.
func Load(users *acl.Users, path string, log *zerolog.Logger) error {
	text, err := Read(path, log)
	if err != nil {
		hint := ""
		if errors.Is(err, fs.ErrNotExist) {
			hint = "; create it, an empty one will do"
		}
		return fmt.Errorf("%w %s cannot be read: %w%s", Err, path, UnwrapPathError(err), hint)
	}
	err = users.Load(path, text)
	if wrong := new(acl.FileError); errors.As(err, &wrong) {
		return fmt.Errorf("%w cannot be used: %s", Err, EscapeText(strings.Join(wrong.Problems(), "; ")))
	}
	return err //nolint:wrapcheck // there is no other
}

// EscapeText is text with words of the file in it, for a terminal: nothing in a file may drive that. It is as
// [protocol.EscapeMessage] shows bytes, and here what is not UTF-8, or not to be seen, is one of them.
func EscapeText(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if unicode.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			b.WriteString(text[:size])
		} else {
			for _, c := range []byte(text[:size]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		}
		text = text[size:]
	}
	return b.String()
}

// UnwrapPathError is an error of a file without the name of the file and the call, which the line around it tells.
func UnwrapPathError(err error) error {
	if inner := new(fs.PathError); errors.As(err, &inner) {
		return inner.Err
	}
	return err
}

// Read reads the file, and warns if everybody on the machine can: with digests in hand, passwords can be guessed
// without asking the server. Mounted secrets are often readable, so it is no error.
func Read(path string, log *zerolog.Logger) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err //nolint:wrapcheck // the callers word it
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o004 != 0 {
		log.Warn().Str("aclfile", path).Stringer("mode", info.Mode().Perm()).
			Msg("the ACL file is readable by everybody on this machine: chmod 600")
	}
	return text, nil
}

// Write replaces the file, as a whole or not at all: what was there stays until the new one is on the disk. A
// new file is readable by its owner alone; one that was there keeps its mode.
func Write(path string, text []byte) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // or the link would become a file
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err //nolint:wrapcheck // the caller words it
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the error that counts is the first one
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path) //nolint:wrapcheck // the caller words it
}
