package acl

import (
	"slices"
	"strings"
)

// DefaultUser is the name of the user that everybody is before AUTH. It always exists.
const DefaultUser = "default"

// User is who somebody may be, with what it may do. It never changes: see [Users.Set].
type User struct {
	name      string
	enabled   bool
	nopass    bool     // any password will do
	unchecked bool     // skip-sanitize-payload: about keys, kept to be shown again
	passwords []Digest // none if nopass
	tokens    []Token  // by name
	selectors []selector
	language  *Language
}

// newUser makes a user who may do nothing, as ACL SETUSER with a name alone.
func newUser(l *Language, name string) *User {
	return &User{name: name, language: l, selectors: []selector{newSelector()}}
}

func (u *User) clone() *User {
	c := *u
	c.passwords, c.tokens = slices.Clone(u.passwords), slices.Clone(u.tokens)
	c.selectors = make([]selector, len(u.selectors))
	for i := range u.selectors {
		c.selectors[i] = u.selectors[i].clone()
	}
	return &c
}

// Name is the name to authenticate with: any bytes but spaces and the zero byte.
func (u *User) Name() string { return u.name }

// Enabled tells whether the user can authenticate. Who already has stays, as in Redis.
func (u *User) Enabled() bool { return u.enabled }

// NoPassword tells whether any password will do; for the default user that none is needed.
func (u *User) NoPassword() bool { return u.nopass }

// with makes the user that these rules lead to, all of them or none. Selectors must be joined.
func (u *User) with(rules []string) (*User, error) {
	c := u.clone()
	for _, rule := range rules {
		if err := c.apply(rule); err != nil {
			return nil, &RuleError{Rule: rule, Why: err}
		}
	}
	return c, nil
}

// apply takes one rule. It fails with one of Redis' faults.
func (u *User) apply(rule string) error {
	switch word := lower(rule); {
	case word == "":
	case word == "on", word == "off":
		u.enabled = word == "on"
	case word == "sanitize-payload", word == "skip-sanitize-payload":
		u.unchecked = word == "skip-sanitize-payload"
	case word == "nopass", word == "resetpass":
		u.passwords, u.tokens, u.nopass = nil, nil, word == "nopass"
	case word == "clearselectors":
		u.selectors = u.selectors[:1]
	case word == "reset":
		*u = *newUser(u.language, u.name)
	case strings.ContainsAny(word[:1], "><#!"):
		return u.applyPassword(rule)
	case word[0] == '(' && strings.HasSuffix(word, ")"):
		s, err := parseSelector(u.language, rule)
		if err != nil {
			return err
		}
		u.selectors = append(u.selectors, s)
	default:
		return u.selectors[0].apply(u.language, rule)
	}
	return nil
}

// applyPassword takes the four rules about one password: > and < with the password, # and ! with its digest.
func (u *User) applyPassword(rule string) error {
	digest := Hash([]byte(rule[1:]))
	if rule[0] == '#' || rule[0] == '!' {
		var ok bool
		if digest, ok = parseDigest(rule[1:]); !ok {
			return errHash
		}
	}
	i := slices.Index(u.passwords, digest)
	if rule[0] == '>' || rule[0] == '#' {
		u.nopass = false
		if i < 0 {
			u.passwords = append(u.passwords, digest)
		}
		return nil
	}
	if i < 0 {
		return errNoPassword
	}
	u.passwords = slices.Delete(u.passwords, i, i+1)
	return nil
}

// Rights is what one set of rules grants, as ACL GETUSER words it.
type Rights struct{ Commands, Keys, Channels string }

// Description is a user as ACL GETUSER shows it.
type Description struct {
	Flags     []string // "on" or "off", "nopass", "sanitize-payload" or "skip-sanitize-payload"
	Passwords []string // digests in hex
	Rights
	Selectors []Rights
}

// Describe returns what ACL GETUSER shows. Tokens are not among it.
func (u *User) Describe() Description {
	d := Description{Flags: u.flags(), Passwords: []string{}, Selectors: []Rights{}}
	for _, p := range u.passwords {
		d.Passwords = append(d.Passwords, p.String())
	}
	for i := range u.selectors {
		s := &u.selectors[i]
		r := Rights{Commands: s.commands.String(), Keys: s.keys.String(), Channels: s.channels.String()}
		if i == 0 {
			d.Rights = r
		} else {
			d.Selectors = append(d.Selectors, r)
		}
	}
	return d
}

func (u *User) flags() []string {
	flags := []string{"off"}
	if u.enabled {
		flags[0] = "on"
	}
	if u.nopass {
		flags = append(flags, "nopass")
	}
	if u.unchecked {
		return append(flags, "skip-sanitize-payload")
	}
	return append(flags, "sanitize-payload")
}

// String is the user's line in ACL LIST and in the file, "user alice on …". It has digests of passwords in it.
func (u *User) String() string {
	words := append([]string{"user", u.name}, u.flags()...)
	for _, p := range u.passwords {
		words = append(words, "#"+p.String())
	}
	for i := range u.selectors {
		s := u.selectors[i].String()
		if i > 0 {
			s = "(" + s + ")"
		}
		words = append(words, s)
	}
	return strings.Join(words, " ")
}
