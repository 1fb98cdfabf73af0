package command

import (
	"cmp"
	"slices"
	"strings"

	"github.com/conchmq/conch/broker"
)

// This file finds names that a person may have meant by another one: in other case, with other separators or blanks, with one
// letter changed, or with a part more or less.

const (
	maxSimilar = 5 // names in an answer
	// maxSimilarLooked bounds the names that are looked at, and maxSimilarPatterns the patterns. The core does it, and other connections wait.
	maxSimilarLooked, maxSimilarPatterns = 10_000, 1_000
	// maxSimilarName is the length above which a name was not typed.
	maxSimilarName = 256
)

// likeness is how much a name is like another one; the smallest is the closest.
type likeness uint8

const (
	likeFolded likeness = iota // but for case, separators and blanks it is the same
	likeLetter                 // one letter is other, missing, too much, or changed places with its neighbor
	likePart                   // it has parts more or less at the end
	unlike
)

// likenessTexts describe how a name differs.
var likenessTexts = [...]string{
	likeFolded: "it differs in case, separators or blanks", likeLetter: "it differs in one letter", likePart: "it begins the same",
}

const separators = ".:/-_| "

// likenessOf compares two names that are not the same.
func likenessOf(a, b string) likeness {
	if areSameFolded(a, b) {
		return likeFolded
	}
	short, long := a, b
	if len(short) > len(long) {
		short, long = long, short
	}
	switch {
	case len(short) == 0:
		return unlike
	case len(short) >= 3 && differsByOne(a, b):
		return likeLetter
	case strings.HasPrefix(long, short) && (strings.IndexByte(separators, long[len(short)]) >= 0 || strings.IndexByte(separators, short[len(short)-1]) >= 0):
		return likePart
	}
	return unlike
}

// areSameFolded compares names without case, separators, quotes and control bytes. Letters beyond ASCII have one case.
func areSameFolded(a, b string) bool {
	i, j := 0, 0
	for {
		for i < len(a) && isFoldedAway(a[i]) {
			i++
		}
		for j < len(b) && isFoldedAway(b[j]) {
			j++
		}
		if i == len(a) || j == len(b) {
			return i == len(a) && j == len(b)
		}
		if lowerByte(a[i]) != lowerByte(b[j]) {
			return false
		}
		i, j = i+1, j+1
	}
}

func isFoldedAway(c byte) bool {
	return c <= ' ' || c == 0x7f || c == '"' || c == '\'' || strings.IndexByte(separators, c) >= 0
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// differsByOne reports whether one edit makes b of a, case aside.
func differsByOne(a, b string) bool {
	if d := len(a) - len(b); d < -1 || d > 1 {
		return false
	}
	start := 0
	for start < min(len(a), len(b)) && lowerByte(a[start]) == lowerByte(b[start]) {
		start++
	}
	a, b = a[start:], b[start:]
	for len(a) > 0 && len(b) > 0 && lowerByte(a[len(a)-1]) == lowerByte(b[len(b)-1]) {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	swapped := len(a) == 2 && len(b) == 2 && lowerByte(a[0]) == lowerByte(b[1]) && lowerByte(a[1]) == lowerByte(b[0])
	return len(a) <= 1 && len(b) <= 1 || swapped
}

// similarName is a name like the one that is looked for.
type similarName struct {
	name string
	kind broker.Kind
	likeness
	subscriptions int    // to it
	number        uint64 // of the last publish, if none names it
}

// similarNames collects the closest names.
type similarNames struct {
	topic string
	names []similarName
}

// add takes a name if it is one of the closest so far.
func (s *similarNames) add(n similarName) {
	if n.name == s.topic || len(n.name) > maxSimilarName {
		return
	}
	if n.likeness = likenessOf(n.name, s.topic); n.likeness != unlike {
		s.insert(n)
	}
}

func (s *similarNames) insert(n similarName) {
	at, _ := slices.BinarySearchFunc(s.names, n, func(a, b similarName) int {
		return cmp.Or(cmp.Compare(a.likeness, b.likeness), cmp.Compare(a.name, b.name), cmp.Compare(a.kind, b.kind), cmp.Compare(b.subscriptions, a.subscriptions))
	})
	if s.names = slices.Insert(s.names, at, n); len(s.names) > maxSimilar {
		s.names = s.names[:maxSimilar]
	}
}

// similar finds names with subscriptions, and names that are published to without one, which shows admits.
func (w *response) similar(topic []byte, shows func(name []byte) bool) []similarName {
	s := similarNames{topic: string(topic)}
	if len(topic) > maxSimilarName {
		return nil
	}
	for _, k := range []broker.Kind{broker.Topic, broker.Shard} {
		looked := 0
		for name := range w.view.Names(k) {
			if looked++; looked > maxSimilarLooked {
				break
			}
			w.work += workPerName
			s.add(similarName{name: name, kind: k, subscriptions: 1}) // they are counted below
		}
	}
	w.similarPatterns(&s)
	for p := range w.executor.service.unnamed.all() {
		w.work += workPerName
		s.add(similarName{name: string(p.text()), kind: p.kind, number: p.number})
	}
	s.names = slices.DeleteFunc(s.names, func(n similarName) bool { return !shows([]byte(n.name)) })
	for i := range s.names {
		if n := &s.names[i]; n.number == 0 {
			n.subscriptions = w.view.NumSubscriptions(n.kind, []byte(n.name))
		}
	}
	return s.names
}

// similarPatterns adds patterns that would match the topic in another case.
func (w *response) similarPatterns(s *similarNames) {
	looked, globs, lower := 0, newGlobWork(), []byte(strings.ToLower(s.topic))
	for pattern := range w.view.Names(broker.Pattern) {
		if looked++; looked > maxSimilarPatterns || globs.exhausted() {
			return
		}
		w.work += workPerName
		if len(pattern) > maxSimilarName || !globs.match(strings.ToLower(pattern), lower) || globs.match(pattern, []byte(s.topic)) {
			continue
		}
		s.insert(similarName{name: pattern, kind: broker.Pattern, likeness: likeFolded})
	}
}
