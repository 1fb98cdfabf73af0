package acl

import (
	"slices"
	"strings"
)

// DefaultUser is the name of the user that everybody is before AUTH. It always exists.
const DefaultUser = "default"

// User is who somebody may be, with what it may do. It never changes: see [Users.Set].
type User struct {
	name         string
	enabled      bool
	nopass       bool                   // any password will do
	skipSanitize bool                   // skip-sanitize-payload: about keys, kept to be shown again
	passwords    list[Digest, struct{}] // none if nopass
	tokens       []Token                // by name
	selectors    []selector
	registry     *Registry
}

// newUser makes a user who may do nothing, as ACL SETUSER with a name alone.
func newUser(l *Registry, name string) *User {
	return &User{name: name, registry: l, selectors: []selector{newSelector()}}
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
			return nil, &RuleError{Rule: rule, Err: err}
		}
	}
	c.compact()
	if err := c.checkLimits(); err != nil && len(rules) > 0 {
		return nil, &RuleError{Rule: rules[len(rules)-1], Err: err}
	}
	return c, nil
}

// compact is for when all rules are applied: see list.
func (u *User) compact() {
	u.passwords.compact()
	for i := range u.selectors {
		s := &u.selectors[i]
		s.commands.rules.compact()
		s.channels.list.compact()
		s.keys.list.compact()
	}
}

// What one user may have, so that neither judging nor authenticating takes long while everybody waits.
const (
	maxPasswords = 1000   // with its tokens: so many are compared for each AUTH
	maxSelectors = 1000   // in parentheses
	maxPatterns  = 10_000 // of topics and of keys, in all selectors together
	maxRules     = 10_000 // about commands, likewise
)

const (
	errManyPasswords ruleErr = "A user can have at most 1000 passwords and tokens"
	errManySelectors ruleErr = "A user can have at most 1000 selectors"
	errManyPatterns  ruleErr = "A user can have at most 10000 patterns of channels and keys"
	errManyRules     ruleErr = "A user can have at most 10000 rules about commands"
)

// checkLimits holds a user to these limits.
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

// apply takes one rule. It fails with one of Redis' faults.
func (u *User) apply(rule string) error {
	switch word := lower(rule); {
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

// applyPassword takes the four rules about one password: > and < with the password, # and ! with its digest.
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

// String is the user's line in ACL LIST and in the file, "user alice on …". It has digests of passwords in it.
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
