package acl

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Token is one more password of a user, which has a name and ends by itself. resetpass, nopass and reset take tokens
// away as they take passwords: who locks a user out must not leave a door.
type Token struct {
	Name    string    // unique among the user's tokens
	Expires time.Time // in UTC, to the second; from then on it opens nothing
	digest  Digest
}

// TokenName says which token of which user.
type TokenName struct{ User, Token string }

// maxTokenName is in bytes.
const maxTokenName = 128

const (
	errTokenName   ruleErr = "A token's name is 1 to 128 bytes without spaces and control bytes"
	errTokenExpiry ruleErr = "A token must expire between the years 1 and 9999"
)

// CreateToken gives a user one more token, whose secret is known to the caller alone. It fails if the user does not
// exist or has a token of that name.
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

// withTokens is a copy of the user with a copy of these tokens. It shares all else, which does not change.
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

// addToken is for a user that nobody else has yet.
func (u *User) addToken(t Token) error {
	t.Expires = t.Expires.UTC().Truncate(time.Second)
	i, found := u.findToken(t.Name)
	switch {
	case !validTokenName(t.Name):
		return errTokenName
	case t.Expires.Year() < 1 || t.Expires.Year() > 9999: // what the file can say
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

// RevokeToken takes a token away. It fails if the user or the token does not exist.
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

// Tokens returns the user's tokens by name, expired ones too until [Users.ExpireTokens] has taken them.
func (u *User) Tokens() []Token { return slices.Clone(u.tokens) }

// HasToken tells whether a connection that came in with this token may stay. A token of the same name with another
// secret is another token.
func (u *User) HasToken(t *Token, now time.Time) bool {
	i, found := u.findToken(t.Name)
	return found && u.tokens[i].digest == t.digest && u.tokens[i].Expires.After(now)
}

// ExpireTokens takes away all tokens that have expired, and names them.
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

// NextExpiry is when a token expires that does so before all others; ok is false if there is none. It is in the past if
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

// line is the token's line in the file. Redis refuses a file with such a line.
func (t Token) line(user string) string {
	return strings.Join([]string{"token", user, t.Name, "#" + t.digest.String(), t.Expires.Format(time.RFC3339)}, " ")
}
