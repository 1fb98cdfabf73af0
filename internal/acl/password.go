package acl

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Digest is the SHA-256 of a password or of a token's secret. Nothing else of either is kept.
type Digest [sha256.Size]byte

// Hash makes the digest of a password. It takes time in proportion to the password and may run anywhere.
func Hash(password []byte) Digest { return sha256.Sum256(password) }

// String is the digest in lower-case hex, as it stands behind # in rules.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

func parseDigest(s string) (d Digest, ok bool) {
	if len(s) != hex.EncodedLen(len(d)) || strings.ContainsAny(s, "ABCDEF") {
		return d, false
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err == nil
}

// Authenticate looks for a user with this password, given as its [Hash]. If it was the secret of a token, token is
// that one, otherwise it is nil.
//
// How long it takes depends on nothing but the most passwords and tokens that any user has had, neither on whether
// there is such a user nor on what was right in the password. A user that is off and an expired token are as absent
// ones.
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
		t := u.tokens[found-u.passwords.len()] // a copy: it must not keep the user alive
		token = &t
	}
	return u, token, true
}

// matches compares with the i-th of the passwords and the tokens behind them: 1 if it is the same. Behind the last it
// compares all the same, and says 0.
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

// GenPassLen is how many hex digits ACL GENPASS answers when asked for so many bits.
func GenPassLen(bits int) (digits int, err error) {
	const most = 4096
	if bits <= 0 || bits > most {
		return 0, ruleErr(fmt.Sprintf("ACL GENPASS argument must be the number of bits for the output password, "+
			"a positive number up to %d", most))
	}
	return (bits + 3) / 4, nil
}
