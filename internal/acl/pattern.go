package acl

import (
	"slices"
	"strings"
)

// rights is what a pattern grants.
type rights uint8

const (
	read      rights = 1 << iota // of a topic: to listen to it
	write                        // of a topic: to publish to it
	readWrite = read | write
)

// patterns are the topics, or the keys, that a selector is about.
type patterns struct {
	sigil string // "&" or "~"
	all   bool
	list  list[string, rights] // by glob; empty if all
}

func (p *patterns) clone() patterns {
	return patterns{sigil: p.sigil, all: p.all, list: p.list.clone()}
}

// reset leaves everything or nothing.
func (p *patterns) reset(all bool) { p.all, p.list = all, list[string, rights]{} }

// add grants a glob. What is granted about the same glob already is kept. Rights to read and to write * that were
// granted apart are everything, as ~* is: Redis keeps them apart and shows ~*, which then reads as something else.
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

// allowsTopic judges one topic.
func (p *patterns) allowsTopic(topic []byte, need rights, match func(glob string, topic []byte) bool) bool {
	return p.all || slices.ContainsFunc(p.list.items, func(q item[string, rights]) bool {
		return q.value&need == need && match(q.key, topic)
	})
}

// allowsGlob judges a subscription to a glob; the package comment has the rule.
func (p *patterns) allowsGlob(glob []byte) bool {
	return p.all || slices.ContainsFunc(p.list.items, func(q item[string, rights]) bool {
		return q.value&read != 0 && covers(q.key, string(glob))
	})
}

// covers reports whether a granted glob allows to subscribe to another.
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

// prefix takes the star off a glob that is a literal and one star.
func prefix(glob string) (literal string, ok bool) {
	literal, ok = strings.CutSuffix(glob, "*")
	return literal, ok && !strings.ContainsAny(literal, `*?[\`)
}

// String gives the rules that lead here: what ACL GETUSER calls channels, or keys.
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

// hasSpace tells what cannot stand in a word of the file: what C calls a space, and the zero byte.
func hasSpace(s string) bool { return strings.ContainsFunc(s, isSpace) || strings.Contains(s, "\x00") }

func isSpace(r rune) bool { return strings.ContainsRune(" \t\n\v\f\r", r) }
