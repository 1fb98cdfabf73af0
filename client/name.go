package client

import "strings"

// Name is what one subscribes to: a topic, or all topics that match a pattern; and of their messages all, or those for
// which a predicate holds. Topic and Pattern make one. Names can be compared.
type Name struct {
	text      string // as the wire has it
	pattern   bool
	predicate bool
	err       error
}

// whereSep parts a pattern and a predicate on the wire; the first one that stands there does.
const whereSep = " WHERE "

// Topic is one topic. Any bytes will do, but " WHERE " in it, which begins a predicate to conch: it refuses to subscribe
// to such a topic without one. Pattern(`a \WHERE b`) is the topic "a WHERE b". Redis takes it as it is.
func Topic(topic string) Name { return Name{text: topic} }

// Pattern is every topic that matches a glob as Redis has them: * is any text, ? any byte, [a-z] one of these, [^x] none
// of these, and \ takes a byte as it is. " WHERE " in it is refused with ErrInvalidOption, because conch would take what is
// behind it for a predicate: Where gives one, and \WHERE stands for those letters.
func Pattern(glob string) Name {
	n := Name{text: glob, pattern: true}
	if strings.Contains(glob, whereSep) {
		n.err = invalidOption(`the pattern %q has WHERE in it; use Where for a predicate, or write \WHERE for those letters`, glob)
	}
	return n
}

// Where is the name with a predicate, in conch's language: Topic("orders").Where(`price > 100 && region == "eu"`). The
// server judges it, and refuses one that is wrong with an *Error that says where. Messages carry the name as their
// Pattern, also when it is a topic; numbers come with them in any case, for it is by these that conch is known. To the
// server all names with a predicate are patterns, so a user needs the right to the topic as a pattern.
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
	// What looks like the part between the two must not be taken for it, nor what makes one with its first blank.
	n.text = strings.ReplaceAll(n.text, " WHERE", ` \WHERE`) + whereSep + predicate
	n.pattern, n.predicate = true, true
	return n
}

// String is the name as the server has it. Of a pattern, and of any name with a predicate, it is what Message.Pattern
// says; of a topic it is what Message.Topic says.
func (n Name) String() string { return n.text }

// escapeGlob makes a glob that matches this topic and no other.
func escapeGlob(topic string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(topic)
}

// names are those of one subscription, each once, in the order in which they were given.
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

// maxCommandBytes is how long one command may become by adding a name. The server's answer to a piece is read before the next
// one is written, so neither side has to hold what the other one does not read yet.
const maxCommandBytes = 16 << 10

// commands yields the commands that subscribe to all names, and how many confirmations each one has.
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
