package client

import "strings"

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

// names are the names of one subscription, without duplicates, in their order.
type names struct {
	topics, patterns []string
	predicates       bool
}

func newNames(all []Name) (n names, err error) {
	if len(all) == 0 {
		return n, invalidOption("nothing to subscribe to")
	}
	seen := map[Name]bool{}
	for _, name := range all {
		switch {
		case name.err != nil:
			return n, name.err
		case seen[name]:
			continue
		case name.pattern:
			n.patterns = append(n.patterns, name.text)
		default:
			n.topics = append(n.topics, name.text)
		}
		seen[name] = true
		n.predicates = n.predicates || name.predicate
	}
	return n, nil
}

// maxCommandBytes bounds the length at which a command takes a further name. The replies to a command are read before
// the next one is written, so neither side has to buffer for the other.
const maxCommandBytes = 16 << 10

// commands yields the commands that subscribe to all names, each with its number of confirmations.
func (n *names) commands(yield func(command []byte, confirmations int) bool) {
	for _, form := range []struct {
		verb  string
		names []string
	}{{"SUBSCRIBE", n.topics}, {"PSUBSCRIBE", n.patterns}} {
		for rest := form.names; len(rest) > 0; {
			args, size := []string{form.verb}, 0
			for len(rest) > 0 && (size == 0 || size+len(rest[0]) <= maxCommandBytes) {
				args, size, rest = append(args, rest[0]), size+len(rest[0])+1, rest[1:]
			}
			if !yield(appendCommand(nil, args...), len(args)-1) {
				return
			}
		}
	}
}
