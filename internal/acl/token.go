package acl

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Token is a password of a user with a name and an expiry. resetpass, nopass and reset remove tokens together with the
// passwords, so that they lock the user out completely.
type Token struct {
	Name    string    // unique among the user's tokens
	Expires time.Time // in UTC, in seconds; invalid from then on
	digest  Digest
}

// TokenName identifies a token of a user.
type TokenName struct{ User, Token string }

// maxTokenName is in bytes.
const maxTokenName = 128

const (
	errTokenName   ruleErr = "A token's name is 1 to 128 bytes without spaces and control bytes"
	errTokenExpiry ruleErr = "A token must expire between the years 1 and 9999"
)

// CreateToken adds a token to a user. Only the caller knows the secret; Users keeps the digest. It fails if the user does
// not exist or has a token of that name.
func (us *Users) CreateToken(user, name string, secret Digest, expires time.Time) error {
	u, err := us.find(user)
	if err != nil {
		return err
	}
	c := u.withTokens(u.tokens)
	if err := c.addToken(Token{Name: name, Expires: expires, digest: secret}); err != nil {
		return err
	}
	us.store(c)
	return nil
}

// withTokens returns a copy of the user with a copy of these tokens. The copies share the rest, which is immutable.
func (u *User) withTokens(tokens []Token) *User {
	c := *u
	c.tokens = slices.Clone(tokens)
	return &c
}

func (us *Users) find(user string) (*User, error) {
	if u := us.byName[user]; u != nil {
		return u, nil
	}
	return nil, ruleErr(fmt.Sprintf("User '%s' not found", user))
}

// addToken changes u, which must not be published yet.
func (u *User) addToken(t Token) error {
	t.Expires = t.Expires.UTC().Truncate(time.Second)
	i, found := u.findToken(t.Name)
	switch {
	case !validTokenName(t.Name):
		return errTokenName
	case t.Expires.Year() < 1 || t.Expires.Year() > 9999: // the range of the file's syntax
		return errTokenExpiry
	case found:
		return ruleErr(fmt.Sprintf("User '%s' already has a token '%s'", u.name, t.Name))
	case u.passwords.len()+len(u.tokens) >= maxPasswords:
		return errManyPasswords
	}
	u.tokens = slices.Insert(u.tokens, i, t)
	return nil
}

func validTokenName(name string) bool {
	return name != "" && len(name) <= maxTokenName && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r == 0x7f
	})
}

func (u *User) findToken(name string) (int, bool) {
	return slices.BinarySearchFunc(u.tokens, name, func(t Token, name string) int { return strings.Compare(t.Name, name) })
}

// RevokeToken removes a token. It fails if the user or the token does not exist.
func (us *Users) RevokeToken(user, name string) error {
	u, err := us.find(user)
	if err != nil {
		return err
	}
	i, found := u.findToken(name)
	if !found {
		return ruleErr(fmt.Sprintf("User '%s' has no token '%s'", user, name))
	}
	c := u.withTokens(u.tokens)
	c.tokens = slices.Delete(c.tokens, i, i+1)
	us.store(c)
	return nil
}

// TokenOwner returns the name of the user with this token, for clients that send the secret alone. It proves nothing:
// [Users.Authenticate] does. Of two users with the same secret, the one changed last is its owner.
func (us *Users) TokenOwner(secret Digest) (user string, ok bool) {
	user, ok = us.tokenOwners[secret]
	return user, ok
}

// removeTokenOwner removes what TokenOwner knows of a user.
func (us *Users) removeTokenOwner(user string) {
	u := us.byName[user]
	if u == nil {
		return
	}
	for i := range u.tokens {
		if d := u.tokens[i].digest; us.tokenOwners[d] == user {
			delete(us.tokenOwners, d)
		}
	}
}

// Tokens returns the user's tokens sorted by name, expired ones included until [Users.ExpireTokens] removes them.
func (u *User) Tokens() []Token { return slices.Clone(u.tokens) }

// HasToken reports whether a token is still valid for connections that authenticated with it. A token of the same name
// with another secret is another token.
func (u *User) HasToken(t *Token, now time.Time) bool {
	i, found := u.findToken(t.Name)
	return found && u.tokens[i].digest == t.digest && u.tokens[i].Expires.After(now)
}

// ExpireTokens removes all expired tokens and returns their names.
func (us *Users) ExpireTokens(now time.Time) []TokenName {
	var expired []TokenName
	for _, name := range us.Names() {
		u, before := us.byName[name], len(expired)
		for _, t := range u.tokens {
			if !t.Expires.After(now) {
				expired = append(expired, TokenName{User: name, Token: t.Name})
			}
		}
		if len(expired) > before {
			c := u.withTokens(u.tokens)
			c.tokens = slices.DeleteFunc(c.tokens, func(t Token) bool { return !t.Expires.After(now) })
			us.store(c)
		}
	}
	return expired
}

// NextExpiry returns the earliest expiry of a token; ok is false without tokens. It is in the past if
// [Users.ExpireTokens] is due.
func (us *Users) NextExpiry() (next time.Time, ok bool) {
	for _, u := range us.byName {
		for _, t := range u.tokens {
			if !ok || t.Expires.Before(next) {
				next, ok = t.Expires, true
			}
		}
	}
	return next, ok
}

// line returns the token's line in the file. Redis rejects a file with such a line.
func (t Token) line(user string) string {
	return strings.Join([]string{"token", user, t.Name, "#" + t.digest.String(), t.Expires.Format(time.RFC3339)}, " ")
}
