package acl

import (
	"bytes"
	"slices"
	"strings"
)

// rights is a set of permissions that a glob grants.
type rights uint8

const (
	read      rights = 1 << iota // of a topic: to subscribe; of a key: to return its value
	write                        // of a topic: to publish; of a key: to change it
	readWrite = read | write
)

// patterns holds the globs of topics, or of keys, that a selector grants.
type patterns struct {
	sigil string // "&" or "~"
	all   bool
	list  list[string, rights] // by glob; empty if all
}

func (p *patterns) clone() patterns {
	return patterns{sigil: p.sigil, all: p.all, list: p.list.clone()}
}

// reset grants everything or nothing.
func (p *patterns) reset(all bool) { p.all, p.list = all, list[string, rights]{} }

// add grants rights on a glob, in addition to earlier ones on the same glob. Read and write on * granted separately
// become everything. Redis keeps them separate and lists them as ~*, which means something else when read again.
func (p *patterns) add(glob string, r rights) error {
	if hasSpace(glob) {
		return errSyntax
	}
	granted := p.list.getOrAdd(glob)
	if *granted |= r; glob == "*" && *granted == readWrite {
		p.reset(true)
	}
	return nil
}

// allows reports whether a glob with all needed rights matches the topic or key.
func (p *patterns) allows(name []byte, need rights, match func(glob string, name []byte) bool) bool {
	return p.all || slices.ContainsFunc(p.list.items, func(q item[string, rights]) bool {
		return q.value&need == need && match(q.key, name)
	})
}

// allowsGlob reports whether a subscription to a pattern is allowed; the package comment has the rule.
func (p *patterns) allowsGlob(glob []byte, match func(glob string, topic []byte) bool) bool {
	if topic, ok := literalTopic(glob); ok && p.allows(topic, read, match) {
		return true
	}
	return p.all || slices.ContainsFunc(p.list.items, func(q item[string, rights]) bool {
		return q.value&read != 0 && covers(q.key, string(glob))
	})
}

// literalTopic returns the topic of a glob that matches one topic alone. Clients escape a topic into such a glob to have
// a predicate or a position with it.
func literalTopic(glob []byte) (topic []byte, ok bool) {
	if !bytes.ContainsAny(glob, `*?[\`) {
		return glob, true
	}
	topic = make([]byte, 0, len(glob))
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; {
		case c == '\\' && i+1 < len(glob):
			i++
			topic = append(topic, glob[i])
		case strings.IndexByte(`*?[`, c) >= 0:
			return nil, false
		default: // a backslash at the end stands for itself
			topic = append(topic, c)
		}
	}
	return topic, true
}

// covers reports whether a granted glob allows a subscription to the wanted one.
func covers(granted, wanted string) bool {
	if granted == wanted || granted == "*" {
		return true
	}
	have, ok := prefix(granted)
	if !ok {
		return false
	}
	want, ok := prefix(wanted)
	return ok && strings.HasPrefix(want, have)
}

// prefix returns the literal of a glob that is a literal and one star.
func prefix(glob string) (literal string, ok bool) {
	literal, ok = strings.CutSuffix(glob, "*")
	return literal, ok && !strings.ContainsAny(literal, `*?[\`)
}

// String returns the rules: the channels or keys field of ACL GETUSER.
func (p *patterns) String() string {
	if p.all {
		return p.sigil + "*"
	}
	rules := make([]string, len(p.list.items))
	for i, q := range p.list.items {
		rules[i] = p.sigil + q.key
		switch q.value {
		case read:
			rules[i] = "%R" + rules[i]
		case write:
			rules[i] = "%W" + rules[i]
		}
	}
	return strings.Join(rules, " ")
}

// hasSpace reports bytes that a word of the file cannot contain: white space as in C, and NUL.
func hasSpace(s string) bool { return strings.ContainsFunc(s, isSpace) || strings.Contains(s, "\x00") }

func isSpace(r rune) bool { return strings.ContainsRune(" \t\n\v\f\r", r) }
