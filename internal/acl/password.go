package acl

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Digest is the SHA-256 of a password or of a token's secret. The server stores nothing else of either.
type Digest [sha256.Size]byte

// Hash returns the digest of a password. It takes time in proportion to the password; any goroutine may call it.
func Hash(password []byte) Digest { return sha256.Sum256(password) }

// String returns the digest in lower-case hex, as after # in rules.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

func parseDigest(s string) (d Digest, ok bool) {
	if len(s) != hex.EncodedLen(len(d)) || strings.ContainsAny(s, "ABCDEF") {
		return d, false
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err == nil
}

// Authenticate returns the user of a name if it has this password, given as its [Hash]. token is the token with that
// secret, or nil for a password.
//
// The time depends only on the largest number of secrets that a user has ever had, not on the existence of the user nor
// on matching bytes. Otherwise a client could measure which users exist. A disabled user and an expired token fail as
// absent ones do.
func (us *Users) Authenticate(name string, password Digest, now time.Time) (u *User, token *Token, ok bool) {
	u = us.byName[name]
	known := u != nil && u.enabled
	if !known {
		u = &User{}
	}
	found := -1
	for i := range us.maxSecrets {
		found = subtle.ConstantTimeSelect(u.matches(i, &password, now), i, found)
	}
	switch {
	case !known || found < 0 && !u.nopass:
		return nil, nil, false
	case found >= u.passwords.len():
		t := u.tokens[found-u.passwords.len()] // a copy, which does not keep the user alive
		token = &t
	}
	return u, token, true
}

// matches returns 1 if the i-th secret, counting passwords and then tokens, equals the password. After the last one it
// compares too, for constant time, and returns 0.
func (u *User) matches(i int, password *Digest, now time.Time) int {
	var d Digest
	valid := 1
	switch t := i - u.passwords.len(); {
	case t < 0:
		d = u.passwords.items[i].key
	case t < len(u.tokens) && u.tokens[t].Expires.After(now):
		d = u.tokens[t].digest
	default:
		valid = 0
	}
	return valid & subtle.ConstantTimeCompare(d[:], password[:])
}

// GenPassLen returns the number of hex digits of an ACL GENPASS reply of so many bits.
func GenPassLen(bits int) (digits int, err error) {
	const most = 4096
	if bits <= 0 || bits > most {
		return 0, ruleErr(fmt.Sprintf("ACL GENPASS argument must be the number of bits for the output password, "+
			"a positive number up to %d", most))
	}
	return (bits + 3) / 4, nil
}
