package client

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Name is what a subscription receives: a topic or all topics that match a pattern, optionally only messages for which
// a predicate holds. Topic and Pattern make one. Names are comparable.
type Name struct {
	text      string // in wire format
	pattern   bool
	predicate bool
	start     string // FROM or LAST, with what follows; Subscribe and Add take it off
	err       error
}

// whereSep separates a pattern from a predicate on the wire, where it first occurs. fromSep and lastSep separate it from a
// position, in front of the predicate.
const whereSep, fromSep, lastSep = " WHERE ", " FROM ", " LAST "

// Topic is one topic, of any bytes. conch refuses a topic with " WHERE ", " FROM " or " LAST " in it, because a predicate
// or a position begins there; Redis accepts it. Use Pattern(`a \WHERE b`) for the topic "a WHERE b".
func Topic(topic string) Name { return Name{text: topic} }

// Pattern is every topic that matches a glob of Redis: * is any text, ? any byte, [a-z] one of these, [^x] none of
// these, and \ takes a byte literally. " WHERE ", " FROM " and " LAST " in it are refused with ErrInvalidOption, because
// conch reads a predicate or a position behind them. Where, From and Last add these, and \WHERE stands for the letters.
func Pattern(glob string) Name {
	n := Name{text: glob, pattern: true}
	for _, sep := range []string{whereSep, fromSep, lastSep} {
		if word := strings.TrimSpace(sep); strings.Contains(glob, sep) {
			n.err = invalidOption(`the pattern %q has %s in it; use %s, or write \%[2]s for those letters`, glob, word, methods[word])
		}
	}
	return n
}

// methods has what adds to a name that which stands behind a word.
var methods = map[string]string{"WHERE": "Where for a predicate", "FROM": "From for a position", "LAST": "Last for a position"}

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
	}
	n.text = n.glob() + whereSep + predicate
	n.pattern, n.predicate = true, true
	return n
}

// From starts the subscription at a position: it receives the messages that the server keeps from there on, and goes on
// with those that are published. docs/sequence.md has the forms, such as ef86d081884c7d65-124 (an epoch and a number, as
// Message has them), 0 for all that is kept, and -5m. A Missed reports what is no longer kept. From is no part of the name,
// and counts once: a reconnect resumes behind the last message. The server takes a name with a position for a pattern.
//
// From("GROUP billing") goes on where the group stands, which the server keeps: a reconnect goes on there, too. What the lost
// connection had not delivered any more does not come again, so a Reconnected has the range. If another subscription takes the
// position over, this one ends with ErrTakenOver.
func (n Name) From(position string) Name { return n.startingAt("FROM", position) }

// Last starts the subscription with the last messages that match, as far as the server keeps them.
func (n Name) Last(count int) Name { return n.startingAt("LAST", strconv.Itoa(count)) }

func (n Name) startingAt(word, position string) Name {
	position = strings.TrimSpace(position)
	switch {
	case n.err != nil:
	case n.start != "":
		n.err = invalidOption("%q has a position already", n.text)
	case position == "" || strings.Contains(" "+position+" ", whereSep):
		n.err = invalidOption("%q is no position for %q", position, n.text)
	default:
		n.start = word + " " + position
	}
	return n
}

// glob returns the glob of a name without a predicate. In it, a separator, or one that its last bytes and a blank would
// form, is escaped.
func (n Name) glob() string {
	text := n.text
	if !n.pattern {
		text = escapeGlob(text)
	}
	return strings.NewReplacer(" WHERE", ` \WHERE`, " FROM", ` \FROM`, " LAST", ` \LAST`).Replace(text)
}

// at returns the name on the wire with a position. Of a topic and a pattern of the same letters, the topic has two blanks
// behind the word, so that they differ.
func (n Name) at(start string) Name {
	glob, predicate := n.glob(), ""
	if n.predicate {
		glob, predicate, _ = strings.Cut(n.text, whereSep)
		predicate = whereSep + predicate
	}
	if !n.pattern {
		start = strings.Replace(start, " ", "  ", 1)
	}
	return Name{text: glob + " " + start + predicate, pattern: true, predicate: n.predicate}
}

// bare returns the name without its position.
func (n Name) bare() Name {
	n.start = ""
	return n
}

// String returns the name without its position: Message.Pattern for a pattern or a name with a predicate, Message.Topic for
// a topic.
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

// checkNames returns the names without duplicates, in their order, and the positions of those that have one.
func checkNames(all []Name) (distinct []Name, starts map[Name]string, err error) {
	seen := make(map[Name]string, len(all))
	starts = map[Name]string{}
	for _, name := range all {
		if name.err != nil {
			return nil, nil, name.err
		}
		bare := name.bare()
		switch start, twice := seen[bare]; {
		case !twice:
			distinct = append(distinct, bare)
		case start != name.start:
			return nil, nil, invalidOption("%q is named twice, with different positions", name.text)
		}
		if seen[bare] = name.start; name.start != "" {
			starts[bare] = name.start
		}
	}
	return distinct, starts, nil
}

// supports returns an error if names have a predicate or a position, and the server is not conch.
func (c *conn) supports(names []Name, starts map[Name]string) error {
	switch {
	case !c.notConch:
	case hasPredicate(names):
		return ErrNoPredicates
	case slices.ContainsFunc(names, func(n Name) bool { return starts[n] != "" }):
		return ErrNoPositions
	}
	return nil
}

// hasPredicate reports whether one of the names has a predicate.
func hasPredicate(names []Name) bool {
	return slices.ContainsFunc(names, func(n Name) bool { return n.predicate })
}

// maxCommandBytes bounds the length at which a command takes a further name. The replies to a command are read before
// the next one is written, so neither side has to buffer for the other.
const maxCommandBytes = 16 << 10

// nextCommand returns a command for as many of the names as fit, topics first. There must be one. The names are as on
// the wire.
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
