package stream

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/conchmq/conch/broker"
)

// Globs are the names of durable topics: what is published to one becomes an entry of the stream with its name. A value never
// changes, another one replaces it; any goroutine may read it. A nil one matches nothing.
type Globs struct {
	list []string
	text string
}

const (
	// maxGlobs and maxGlobsText bound the globs: a publish to another topic than the one before is held against all of them.
	maxGlobs     = 1000
	maxGlobsText = 64 << 10
)

// Match reports whether a topic is durable. The matcher is the caller's. Of names longer than maxRuledName, * alone matches.
func (g *Globs) Match(name []byte, m *broker.Matcher) bool {
	if g == nil {
		return false
	}
	for _, glob := range g.list {
		if glob == "*" && len(name) > 0 || len(name) <= maxRuledName && m.Match(glob, name) {
			return true
		}
	}
	return false
}

// Covers reports whether a topic is durable for sure if a glob matches it. It may report false where it is.
func (g *Globs) Covers(pattern string) bool {
	return g != nil && slices.ContainsFunc(g.list, func(glob string) bool {
		if start, all := strings.CutSuffix(glob, "*"); all && !strings.ContainsAny(start, `*?[\`) {
			return strings.HasPrefix(pattern, start) // start has no character with a meaning, so the pattern begins with it, too
		}
		return glob == pattern
	})
}

// MayMeet reports whether a name that a glob matches may be durable. It is false only if their beginnings differ.
func (g *Globs) MayMeet(pattern string) bool {
	start := literalStart(pattern)
	return g != nil && slices.ContainsFunc(g.list, func(glob string) bool {
		other := literalStart(glob)
		return strings.HasPrefix(start, other) || strings.HasPrefix(other, start)
	})
}

// literalStart is what a glob has in front of its first wildcard.
func literalStart(glob string) string {
	if i := strings.IndexAny(glob, `*?[\`); i >= 0 {
		return glob[:i]
	}
	return glob
}

// String is the text of the globs, as ParseGlobs reads it.
func (g *Globs) String() string {
	if g == nil {
		return ""
	}
	return g.text
}

// ParseGlobs reads globs: words, those with blanks in quotes. It returns nil if there is none.
func ParseGlobs(text string) (*Globs, error) {
	if len(text) > maxGlobsText {
		return nil, fmt.Errorf("%d bytes of globs: expected %d at most", len(text), maxGlobsText)
	}
	const blanks = " \t\r\n"
	g := &Globs{}
	for text = strings.TrimLeft(text, blanks); text != ""; text = strings.TrimLeft(text, blanks) {
		end := strings.IndexAny(text, blanks)
		if end < 0 {
			end = len(text)
		}
		glob := text[:end]
		if text[0] == '"' {
			quoted, err := strconv.QuotedPrefix(text)
			if err == nil {
				glob, err = strconv.Unquote(quoted)
			}
			if end = len(quoted); err != nil || end < len(text) && !strings.ContainsRune(blanks, rune(text[end])) {
				return nil, errors.New(`a glob in quotes must end with one, and a blank behind it, such as "a b" c`)
			}
		}
		if text = text[end:]; slices.Contains(g.list, glob) {
			continue
		}
		if g.list = append(g.list, glob); len(g.list) > maxGlobs {
			return nil, fmt.Errorf("expected %d globs at most; one may stand for many names", maxGlobs)
		}
	}
	if g.list == nil {
		return nil, nil
	}
	g.text = GlobsText(g.list)
	return g, nil
}

// GlobsText is the text of globs, as ParseGlobs reads it.
func GlobsText(globs []string) string {
	words := make([]string, len(globs))
	for i, glob := range globs {
		words[i] = quoteGlob(glob)
	}
	return strings.Join(words, " ")
}

func checkGlobs(text string) (string, error) {
	g, err := ParseGlobs(text)
	return g.String(), err
}

// isGlobs reports whether a text is one that checkGlobs returns.
func isGlobs(text string) bool {
	plain, err := checkGlobs(text)
	return err == nil && plain == text
}

// planDurable plans other durable topics, from a text that checkGlobs has returned. Their streams stay as they are.
func (c *Change) planDurable(plain string) { c.Kind, c.Text = Durable, []byte(plain) }

func (s *Streams) applyDurable(c *Change) {
	s.given |= givenDurable
	s.durable, _ = ParseGlobs(string(c.Text)) // it was checked
	s.lastTopic = lastTopic{}
}

// Durable are the names of durable topics.
func (s *Streams) Durable() *Globs { return s.durable }

// lastTopic is the topic that IsDurable was called with last, and the answer. Publishers send much to one topic.
type lastTopic struct {
	name      []byte
	isKnown   bool
	isDurable bool
}

// IsDurable reports whether a topic is durable. While none is, it costs one comparison.
func (s *Streams) IsDurable(topic []byte) bool { return s.durable != nil && s.isDurable(topic) }

func (s *Streams) isDurable(topic []byte) bool {
	last := &s.lastTopic
	if !last.isKnown || string(last.name) != string(topic) {
		s.matcher.Steps = 0 // nothing is bounded by them
		*last = lastTopic{append(last.name[:0], topic...), true, s.durable.Match(topic, &s.matcher)}
	}
	return last.isDurable
}
