// Package aclfile reads and writes the file of ACL rules. All of it blocks on the disk: the core's goroutine
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

// Err wraps each error of [Load].
var Err = errors.New("ACL file")

// Load replaces the users by the rules of a file. The server must not start with a wrong rule: it could admit
// the wrong clients, or none.
func Load(users *acl.Users, path string, log *zerolog.Logger) error {
	text, err := Read(path, log)
	if err != nil {
		hint := ""
		if errors.Is(err, fs.ErrNotExist) {
			hint = "; create it; it may be empty"
		}
		return fmt.Errorf("%w %s cannot be read: %w%s", Err, path, UnwrapPathError(err), hint)
	}
	err = users.Load(path, text)
	if wrong := new(acl.FileError); errors.As(err, &wrong) {
		return fmt.Errorf("%w cannot be used: %s", Err, EscapeText(strings.Join(wrong.Problems(), "; ")))
	}
	return err //nolint:wrapcheck // nil: the only error is handled above
}

// EscapeText makes text from the file safe for a terminal, which no byte of it may control. It escapes as
// [protocol.EscapeMessage] does, and also invalid UTF-8 and unprintable characters.
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

// UnwrapPathError removes the file name and the call from an error: the message around it has them.
func UnwrapPathError(err error) error {
	if inner := new(fs.PathError); errors.As(err, &inner) {
		return inner.Err
	}
	return err
}

// Read reads the file, and logs a warning if all users of the machine can read it. With the digests, passwords
// can be guessed without the server. It is no error, because mounted secrets are often readable.
func Read(path string, log *zerolog.Logger) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err //nolint:wrapcheck // the callers word it
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o004 != 0 {
		log.Warn().Str("aclfile", path).Stringer("mode", info.Mode().Perm()).
			Msg("all users of this machine can read the ACL file: chmod 600")
	}
	return text, nil
}

// Write replaces the file, as a whole or not at all: the old content stays until the new one is on the disk. A
// new file is readable by its owner alone; an existing one keeps its mode.
func Write(path string, text []byte) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // a rename onto the link would replace the link
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
			_ = os.Remove(f.Name()) // the first error is the one to report
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
