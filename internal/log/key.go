package log

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
)

const (
	keySize  = 32
	saltSize = 16
	// checkSize is the length of what tells one key from another in the header of a file.
	checkSize = 8
	// maxKeyFile bounds the file of a key: base64 or hex, and white space.
	maxKeyFile = 1 << 10
)

// Key is what files are encrypted with.
type Key struct {
	path   string
	secret [keySize]byte
}

// ReadKey reads the file of a key: 32 bytes in hex or base64. A file that other users may read is refused.
func ReadKey(path string) (*Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("the key file %s is no file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("the key file %s can be read by other users; type: chmod 600 %s", path, path)
	case info.Size() > maxKeyFile:
		return nil, errKey(path)
	}
	b, err := os.ReadFile(path) //nolint:gosec // the owner names it
	if err != nil {
		return nil, err
	}
	k := &Key{path: path}
	text := strings.TrimSpace(string(b))
	secret, err := hex.DecodeString(text)
	if err != nil || len(secret) != keySize {
		secret, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil || len(secret) != keySize {
		return nil, errKey(path)
	}
	copy(k.secret[:], secret)
	return k, nil
}

// errKey shows nothing of what the file has.
func errKey(path string) error {
	return fmt.Errorf("the key file %s has no key: expected %d bytes in hex or base64; make one by: openssl rand -hex %d", path, keySize, keySize)
}

// cipher returns the cipher of a subkey. A salt is random, and no two have the same.
func (k *Key) cipher(salt [saltSize]byte) cipher.AEAD {
	block, err := aes.NewCipher(k.derive(salt, "conch log frames", keySize))
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCM(block); err == nil {
			return aead
		}
	}
	panic("log: " + err.Error()) // the size of the key is right
}

// check is what the header of a file has to tell its key from another. It says nothing about the key.
func (k *Key) check(salt [saltSize]byte) (check [checkSize]byte) {
	copy(check[:], k.derive(salt, "conch log key check", checkSize))
	return check
}

func (k *Key) derive(salt [saltSize]byte, purpose string, size int) []byte {
	b, err := hkdf.Key(sha256.New, k.secret[:], salt[:], purpose, size)
	if err != nil {
		panic("log: " + err.Error()) // the size is small
	}
	return b
}

// isSame reports whether two keys are one, or both are none.
func (k *Key) isSame(other *Key) bool {
	if k == nil || other == nil {
		return k == other
	}
	return k.secret == other.secret
}

// KeyError is the error of a file that no key opens.
type KeyError struct {
	File string
	None bool // no key was given
}

func (e *KeyError) Error() string {
	if e.None {
		return fmt.Sprintf("%s is encrypted; name its key by --encrypt-key-file", e.File)
	}
	return fmt.Sprintf("%s is encrypted with another key than the one in --encrypt-key-file; a former key is named by --encrypt-old-key-file", e.File)
}

// errNewer is the error of a file that a newer version has written.
func errNewer(name string, format, known byte) error {
	return fmt.Errorf("%w: %s has the format %c, and this version of conch reads formats up to %c", ErrNewer, name, format, known)
}

// ErrNewer is the error of files that a newer version of conch has written.
var ErrNewer = errors.New("a newer version of conch has written the files")
