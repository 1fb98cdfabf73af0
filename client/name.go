package client

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Name is what a subscription receives: a topic or all topics that match a pattern, optionally only messages for which
// a predicate holds. Topic and Pattern make one. Names are comparable.
type Name struct {
	text      string // in wire format
	pattern   bool
	predicate bool
	err       error
}

// whereSep separates a pattern from a predicate on the wire, where it first occurs.
const whereSep = " WHERE "

// Topic is one topic, of any bytes. conch refuses a topic with " WHERE " in it, because a predicate begins there; Redis
// accepts it. Use Pattern(`a \WHERE b`) for the topic "a WHERE b".
func Topic(topic string) Name { return Name{text: topic} }

// Pattern is every topic that matches a glob of Redis: * is any text, ? any byte, [a-z] one of these, [^x] none of
// these, and \ takes a byte literally. " WHERE " in it is refused with ErrInvalidOption, because conch reads a
// predicate behind it. Where adds a predicate, and \WHERE stands for the letters.
func Pattern(glob string) Name {
	n := Name{text: glob, pattern: true}
	if strings.Contains(glob, whereSep) {
		n.err = invalidOption(`the pattern %q has WHERE in it; use Where for a predicate, or write \WHERE for those letters`, glob)
	}
	return n
}

// Where adds a predicate in conch's language: Topic("orders").Where(`price > 100 && region == "eu"`). The server
// evaluates it, and refuses a wrong one with an *Error that names the column.
//
// Messages carry the name as their Pattern, for a topic too, and always have sequence numbers, because these identify
// conch. The server treats all names with a predicate as patterns: a user needs the right to the topic as a pattern.
func (n Name) Where(predicate string) Name {
	switch {
	case n.err != nil:
		return n
	case n.predicate:
		n.err = invalidOption("%q has a predicate already", n.text)
		return n
	case strings.TrimSpace(predicate) == "":
		n.err = invalidOption("the predicate of %q is empty", n.text)
		return n
	case !n.pattern:
		n.text = escapeGlob(n.text)
	}
	// A separator in the pattern, or one that its last bytes and a blank would form, is escaped.
	n.text = strings.ReplaceAll(n.text, " WHERE", ` \WHERE`) + whereSep + predicate
	n.pattern, n.predicate = true, true
	return n
}

// String returns the name as the server has it: Message.Pattern for a pattern or a name with a predicate, Message.Topic
// for a topic.
func (n Name) String() string { return n.text }

// escapeGlob returns a glob that matches this topic only.
func escapeGlob(topic string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(topic)
}

// receivedName returns the name that a server sent. The predicate flag follows from the text, because Pattern refuses the
// separator.
func receivedName(text []byte, pattern bool) Name {
	return Name{text: string(text), pattern: pattern, predicate: pattern && bytes.Contains(text, []byte(whereSep))}
}

// checkNames returns the names without duplicates, in their order.
func checkNames(all []Name) (distinct []Name, err error) {
	seen := make(map[Name]bool, len(all))
	for _, name := range all {
		if name.err != nil {
			return nil, name.err
		}
		if !seen[name] {
			distinct = append(distinct, name)
		}
		seen[name] = true
	}
	return distinct, nil
}

// hasPredicate reports whether one of the names has a predicate.
func hasPredicate(names []Name) bool {
	return slices.ContainsFunc(names, func(n Name) bool { return n.predicate })
}

// maxCommandBytes bounds the length at which a command takes a further name. The replies to a command are read before
// the next one is written, so neither side has to buffer for the other.
const maxCommandBytes = 16 << 10

// nextCommand returns a command for as many of the names as fit, topics first. There must be one.
func nextCommand(add bool, names []Name) (command []byte, taken, rest []Name) {
	pattern := !slices.ContainsFunc(names, func(n Name) bool { return !n.pattern })
	args, size := []string{verb(add, pattern)}, 0
	for _, n := range names {
		if n.pattern != pattern || size > 0 && size+len(n.text) > maxCommandBytes {
			rest = append(rest, n)
			continue
		}
		args, size, taken = append(args, n.text), size+len(n.text)+1, append(taken, n)
	}
	return appendCommand(nil, args...), taken, rest
}

func verb(add, pattern bool) string {
	switch {
	case add && pattern:
		return "PSUBSCRIBE"
	case add:
		return "SUBSCRIBE"
	case pattern:
		return "PUNSUBSCRIBE"
	}
	return "UNSUBSCRIBE"
}

// nameSet is a set of names in the order in which they were added.
type nameSet struct {
	added map[Name]uint64
	last  uint64
}

func newNameSet(names ...Name) (s nameSet) {
	s.add(names)
	return s
}

func (s *nameSet) add(names []Name) {
	if s.added == nil {
		s.added = make(map[Name]uint64, len(names))
	}
	for _, n := range names {
		if _, ok := s.added[n]; !ok {
			s.last++
			s.added[n] = s.last
		}
	}
}

func (s *nameSet) remove(names []Name) {
	for _, n := range names {
		delete(s.added, n)
	}
}

func (s *nameSet) has(n Name) bool {
	_, ok := s.added[n]
	return ok
}

// list returns the names in their order.
func (s *nameSet) list() []Name {
	return slices.SortedFunc(maps.Keys(s.added), func(a, b Name) int { return cmp.Compare(s.added[a], s.added[b]) })
}
