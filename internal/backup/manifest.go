// Package backup keeps a copy of a store in a folder: its files, and a manifest that names them with their sums. Records mean nothing to it.
//
// A file of the store that never changes again is copied once, or linked, and stays as long as the store has it: the next backup copies
// what is new. The manifest is replaced last. Until then the earlier backup is whole, and what was copied by then is used by the next one.
package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"regexp"
	"time"

	"github.com/conchmq/conch/internal/log"
)

const (
	manifestName = "manifest.json"
	// format is that of the manifest.
	format = 1
	// sumEvery is how many bytes have a sum of their own: damage is found to that.
	sumEvery = 1 << 20
	sumLen   = 8 // hex digits of a CRC32C
)

// Manifest is what a backup has.
type Manifest struct {
	Format   int       `json:"format"`
	Conch    string    `json:"conch"` // the version that made it
	Store    string    `json:"store"` // which store it is of
	Number   int       `json:"number"`
	Taken    time.Time `json:"taken"`
	Record   uint64    `json:"last_record"`
	Sequence uint64    `json:"last_sequence"`
	Files    []File    `json:"files"`
}

// File is one file of a backup.
type File struct {
	Name     string `json:"name"`     // in the store
	Stored   string `json:"stored"`   // in the folder
	Size     int64  `json:"size"`     // in bytes
	Modified int64  `json:"modified"` // in the store, in nanoseconds: with the size, it shows whether the file is another one
	Sums     string `json:"sums"`     // CRC32C of each MiB, in hex
}

// Bytes is the size of all files.
func (m *Manifest) Bytes() (n int64) {
	for i := range m.Files {
		n += m.Files[i].Size
	}
	return n
}

// ErrNone is the error of a folder without a backup.
var ErrNone = errors.New("there is no backup")

// errManifest is the error of a manifest that is not as it was written.
var errManifest = errors.New(manifestName + " is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// summed is a value with the sum of its JSON.
type summed[T any] struct {
	Sum   string `json:"sum"`
	Value T      `json:"backup"`
}

// encode encodes a value with its sum. A later version that adds a field leaves it out where it is empty: else it could not read what is
// there by then.
func encode[T any](value T, indent string) ([]byte, error) {
	b, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	whole := summed[T]{hexSum(crc32.Checksum(b, castagnoli)), value}
	if indent == "" {
		b, err = json.Marshal(whole)
	} else {
		b, err = json.MarshalIndent(whole, "", indent)
	}
	return append(b, '\n'), err
}

// decode is the reverse. Any byte that is another one is an error.
func decode[T any](b []byte, indent string) (value T, ok bool) {
	var read summed[T]
	if json.Unmarshal(b, &read) != nil {
		return value, false
	}
	again, err := encode(read.Value, indent)
	return read.Value, err == nil && bytes.Equal(again, b)
}

func hexSum(sum uint32) string { return fmt.Sprintf("%0*x", sumLen, sum) }

// manifestIndent makes the manifest readable.
const manifestIndent = " "

// plainName is what a name may be: it leads to no other directory.
var plainName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)

// parseManifest reads a manifest.
func parseManifest(b []byte) (*Manifest, error) {
	var newer summed[struct {
		Format int `json:"format"`
	}]
	if json.Unmarshal(b, &newer) == nil && newer.Value.Format > format {
		return nil, fmt.Errorf("%s has the format %d, and this version of conch reads %d: it was written by a newer one", manifestName, newer.Value.Format, format)
	}
	m, ok := decode[*Manifest](b, manifestIndent)
	if !ok || m == nil {
		return nil, errManifest
	}
	for _, f := range m.Files {
		blocks := (f.Size + sumEvery - 1) / sumEvery
		if !plainName.MatchString(f.Name) || !plainName.MatchString(f.Stored) || f.Size < 0 || int64(len(f.Sums)) != blocks*sumLen {
			return nil, errManifest
		}
	}
	return m, nil
}

// readManifest reads the manifest of a folder. The error is ErrNone if there is none.
func readManifest(files log.Files) (*Manifest, error) {
	b, err := log.ReadFile(files, manifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, err
	}
	return parseManifest(b)
}
