package acl

import (
	"slices"
	"strings"
)

// DefaultUser is the user of connections before AUTH. It always exists.
const DefaultUser = "default"

// User is a user with its secrets and rules. A published user is immutable: [Users.Set] replaces it.
type User struct {
	name         string
	enabled      bool
	nopass       bool                   // accepts any password
	skipSanitize bool                   // skip-sanitize-payload: without effect, kept for ACL LIST
	passwords    list[Digest, struct{}] // none if nopass
	tokens       []Token                // by name
	selectors    []selector
	registry     *Registry
}

// newUser returns a disabled user without rights, as ACL SETUSER with a name alone creates.
func newUser(reg *Registry, name string) *User {
	return &User{name: name, registry: reg, selectors: []selector{newSelector()}}
}

func (u *User) clone() *User {
	c := *u
	c.passwords, c.tokens = u.passwords.clone(), slices.Clone(u.tokens)
	c.selectors = make([]selector, len(u.selectors))
	for i := range u.selectors {
		c.selectors[i] = u.selectors[i].clone()
	}
	return &c
}

// Name is any bytes except white space and NUL.
func (u *User) Name() string { return u.name }

// Enabled reports whether clients can authenticate as the user. As in Redis, authenticated ones stay.
func (u *User) Enabled() bool { return u.enabled }

// NoPassword reports whether any password is accepted; the default user then needs no AUTH.
func (u *User) NoPassword() bool { return u.nopass }

// with returns a copy changed by these rules, all or none. Selectors must be joined.
func (u *User) with(rules []string) (*User, error) {
	c := u.clone()
	for _, rule := range rules {
		if err := c.apply(rule); err != nil {
			return nil, &RuleError{Rule: rule, Err: err}
		}
	}
	c.compact()
	if err := c.checkLimits(); err != nil && len(rules) > 0 {
		return nil, &RuleError{Rule: rules[len(rules)-1], Err: err}
	}
	return c, nil
}

// compact compacts all lists, after the last rule and before the user is published: see list.
func (u *User) compact() {
	u.passwords.compact()
	for i := range u.selectors {
		s := &u.selectors[i]
		s.commands.rules.compact()
		s.channels.list.compact()
		s.keys.list.compact()
	}
}

// Limits of one user. [User.Check] and [Users.Authenticate] run on the core, and every connection waits for them.
const (
	maxPasswords = 1000   // tokens included; each AUTH compares as many
	maxSelectors = 1000   // in parentheses
	maxPatterns  = 10_000 // of topics and keys, in all selectors together
	maxRules     = 10_000 // about commands, in all selectors together
)

const (
	errManyPasswords ruleErr = "A user can have at most 1000 passwords and tokens"
	errManySelectors ruleErr = "A user can have at most 1000 selectors"
	errManyPatterns  ruleErr = "A user can have at most 10000 patterns of channels and keys"
	errManyRules     ruleErr = "A user can have at most 10000 rules about commands"
)

// checkLimits returns an error if the user exceeds a limit.
func (u *User) checkLimits() error {
	patterns, rules := 0, 0
	for i := range u.selectors {
		s := &u.selectors[i]
		patterns += s.channels.list.len() + s.keys.list.len()
		rules += s.commands.rules.len()
	}
	switch {
	case u.passwords.len()+len(u.tokens) > maxPasswords:
		return errManyPasswords
	case len(u.selectors)-1 > maxSelectors:
		return errManySelectors
	case patterns > maxPatterns:
		return errManyPatterns
	case rules > maxRules:
		return errManyRules
	}
	return nil
}

// apply applies one rule. Its errors are ruleErrs.
func (u *User) apply(rule string) error {
	switch word := Lower(rule); {
	case word == "":
	case word == "on", word == "off":
		u.enabled = word == "on"
	case word == "sanitize-payload", word == "skip-sanitize-payload":
		u.skipSanitize = word == "skip-sanitize-payload"
	case word == "nopass", word == "resetpass":
		u.passwords, u.tokens, u.nopass = list[Digest, struct{}]{}, nil, word == "nopass"
	case word == "clearselectors":
		u.selectors = u.selectors[:1]
	case word == "reset":
		*u = *newUser(u.registry, u.name)
	case strings.ContainsAny(word[:1], "><#!"):
		return u.applyPassword(rule)
	case word[0] == '(' && strings.HasSuffix(word, ")"):
		s, err := parseSelector(u.registry, rule)
		if err != nil {
			return err
		}
		u.selectors = append(u.selectors, s)
	default:
		return u.selectors[0].apply(u.registry, rule)
	}
	return nil
}

// applyPassword applies the four rules about one password: > and < with the password, # and ! with its digest.
func (u *User) applyPassword(rule string) error {
	digest := Hash([]byte(rule[1:]))
	if rule[0] == '#' || rule[0] == '!' {
		var ok bool
		if digest, ok = parseDigest(rule[1:]); !ok {
			return errHash
		}
	}
	if rule[0] == '>' || rule[0] == '#' {
		u.nopass = false
		u.passwords.getOrAdd(digest)
		return nil
	}
	if !u.passwords.remove(digest) {
		return errNoPassword
	}
	return nil
}

// Rights is what one set of rules grants, as in ACL GETUSER.
type Rights struct{ Commands, Keys, Channels string }

// Description is a user as in ACL GETUSER.
type Description struct {
	Flags     []string // "on" or "off", "nopass", "sanitize-payload" or "skip-sanitize-payload"
	Passwords []string // digests in hex
	Rights
	Selectors []Rights
}

// Describe returns the fields of ACL GETUSER, which do not include tokens.
func (u *User) Describe() Description {
	d := Description{Flags: u.flags(), Passwords: []string{}, Selectors: []Rights{}}
	for _, p := range u.passwords.items {
		d.Passwords = append(d.Passwords, p.key.String())
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
	if u.skipSanitize {
		return append(flags, "skip-sanitize-payload")
	}
	return append(flags, "sanitize-payload")
}

// String returns the user's line in ACL LIST and in the file, "user alice on …". It contains digests of passwords.
func (u *User) String() string {
	words := append([]string{"user", u.name}, u.flags()...)
	for _, p := range u.passwords.items {
		words = append(words, "#"+p.key.String())
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
