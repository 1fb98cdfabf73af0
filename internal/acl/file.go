package acl

import (
	"fmt"
	"strings"
	"time"
)

// Errors of a file, in Redis' words, and the one of token lines, which Redis does not have.
const (
	errKeyword   ruleErr = "should start with user keyword followed by the username"
	errFileName  ruleErr = "username contains invalid characters"
	errTokenLine ruleErr = "a token is: token user name #sha256 expiry, the expiry as 2006-01-02T15:04:05Z"
)

// Text returns the file of these users: the lines of ACL LIST, each followed by the lines of the user's tokens. Redis
// reads it too, except for tokens, rules with %R& or %W&, and commands of conch alone.
func (us *Users) Text() []byte {
	var b strings.Builder
	for _, name := range us.Names() {
		u := us.byName[name]
		fmt.Fprintln(&b, u)
		for _, t := range u.tokens {
			fmt.Fprintln(&b, t.line(name))
		}
	}
	return []byte(b.String())
}

// Load replaces all users by those of a file, or none if a line is invalid. The error is a [FileError], which contains
// the name of the file. A default user missing from the file is as [NewUsers] and [Users.RequirePassword] set it.
//
// A line is empty, or "user name rule …", or "token user name #sha256 expiry" after its user. As in Redis there are no
// comments, because saving the file would lose them. Load skips a byte order mark, which some editors write.
func (us *Users) Load(file string, text []byte) error {
	fresh := &Users{registry: us.registry, byName: make(map[string]*User), tokenOwners: make(map[Digest]string), requiredPassword: us.requiredPassword}
	var invalid []LineError
	number := 0
	for line := range strings.SplitSeq(strings.TrimPrefix(string(text), "\ufeff"), "\n") {
		number++
		if line = strings.Trim(line, " \t\r"); line == "" {
			continue
		}
		for _, e := range fresh.loadLine(strings.Split(line, " ")) {
			e.Line = number
			invalid = append(invalid, e)
		}
	}
	if invalid != nil {
		return &FileError{File: file, Lines: invalid}
	}
	if fresh.byName[DefaultUser] == nil {
		fresh.store(fresh.newDefault())
	}
	*us = *fresh
	return nil
}

// loadLine loads one line and returns its errors, one for each invalid rule.
func (us *Users) loadLine(words []string) []LineError {
	switch {
	case words[0] == "token":
		return us.loadToken(words)
	case words[0] != "user" || len(words) < 2:
		return []LineError{{Word: redacted(words[0]), Err: errKeyword}}
	case hasSpace(words[1]):
		return []LineError{{Word: redactedName(words[1]), Err: errFileName}}
	case us.byName[words[1]] != nil:
		return []LineError{{Word: redactedName(words[1]), Err: ruleErr("Duplicate user found")}}
	}
	u := newUser(us.registry, words[1])
	us.store(u) // also with invalid rules, so that its tokens are not reported as errors
	for i, word := range words {
		words[i] = strings.Trim(word, "\t\r")
	}
	rules, err := joinSelectors(words[2:])
	if err != nil {
		return []LineError{{Word: redactedName(words[1]), Err: ruleErr("Unmatched parenthesis in selector definition")}}
	}
	var wrong []LineError
	for _, rule := range rules {
		if err := u.apply(rule); err != nil {
			wrong = append(wrong, LineError{Word: redacted(rule), Err: err})
		}
	}
	u.compact()
	if err := u.checkLimits(); err != nil {
		wrong = append(wrong, LineError{Word: redactedName(words[1]), Err: err})
	}
	us.store(u)
	return wrong
}

func (us *Users) loadToken(words []string) []LineError {
	if len(words) != 5 || !strings.HasPrefix(words[3], "#") {
		return []LineError{{Word: words[0], Err: errTokenLine}}
	}
	digest, ok := parseDigest(words[3][1:])
	if !ok {
		return []LineError{{Word: redacted(words[3]), Err: errHash}}
	}
	expires, err := time.Parse(time.RFC3339, words[4])
	if err != nil {
		return []LineError{{Word: redacted(words[4]), Err: errTokenLine}}
	}
	u, err := us.find(words[1])
	if err == nil {
		err = u.addToken(Token{Name: words[2], Expires: expires, digest: digest})
	}
	if err != nil {
		return []LineError{{Word: redactedName(words[2]), Err: err}}
	}
	us.store(u)
	return nil
}
