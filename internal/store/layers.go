package store

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/conchmq/conch/internal/log"
)

// Compression is how the files of the directory are compressed.
type Compression = log.Compression

// ParseCompression reads a compression as people write it.
func ParseCompression(text string) (Compression, error) { return log.ParseCompression(text) } //nolint:wrapcheck // it says all

// layers puts compression and encryption over the files of the directory.
func (s *Store) layers(files log.Files) (*log.Layered, error) {
	o := log.Layers{Compress: s.options.Compress}
	var err error
	if path := s.options.KeyFile; path != "" {
		if o.Key, err = readKey(path); err != nil {
			return nil, err
		}
	}
	if path := s.options.OldKeyFile; path != "" {
		old, err := readKey(path)
		if err != nil {
			return nil, err
		}
		o.OldKeys = []*log.Key{old}
	}
	return log.WithLayers(files, o), nil
}

// readKey makes one line of the errors of a key file.
func readKey(path string) (*log.Key, error) {
	k, err := log.ReadKey(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &keyFileError{fmt.Sprintf("there is no key file %s; make one by: (umask 077; openssl rand -hex 32 > %s)", path, path)}
	case errors.Is(err, fs.ErrPermission):
		return nil, &keyFileError{fmt.Sprintf("the key file %s cannot be read: permission denied", path)}
	case err != nil:
		return nil, &keyFileError{err.Error()}
	}
	return k, nil
}

// keyFileError is an error of a key file, and not of the directory.
type keyFileError struct{ text string }

func (e *keyFileError) Error() string { return e.text }

// renew makes a checkpoint due if files have another key than new ones: segments before it can be written again then. If a loaded
// checkpoint has another key, the next one is a base, and replaces all.
func (c *checkpoints) renew(layered *log.Layered) {
	if layered.Status().Waiting > 0 {
		c.request()
	}
	if slices.ContainsFunc(c.names, layered.HasOldKey) {
		c.base = 0
	}
}
