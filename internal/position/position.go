package position

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Kind is the form of a position.
type Kind uint8

// The forms.
const (
	Number Kind = iota // a sequence number, of an epoch
	Oldest             // the oldest message that is kept
	Time               // a time of day
	Age                // so long ago
	Last               // the last messages
	Entry              // an entry of a stream
	Group              // where a consumer group stands
)

// Position is a place in the order. It includes the message that it names: a client that resumes names the number
// behind the last one that it got.
type Position struct {
	Kind   Kind
	Epoch  string        // of Number; empty is the epoch of the server
	Number uint64        // the sequence number, or how many messages Last has
	Time   time.Time     // of Time
	Age    time.Duration // of Age
	Text   string        // of Entry the id, of Group its name
	Each   bool          // of Last: of each topic
}

// epochLen is the length of an epoch.
const epochLen = 16

// NewEpoch makes an epoch of random bits: 16 hex digits, of which the first is a letter. So EPOCH-NUMBER is never an
// entry id, which starts with a decimal digit.
func NewEpoch(random uint64) string {
	const letters = "abcdef"
	rest := fmt.Sprintf("%015x", random>>4)
	return string(letters[random%16%uint64(len(letters))]) + rest[len(rest)-(epochLen-1):]
}

// Append appends a position in the form for programs: EPOCH-12.
func Append(dst []byte, epoch string, number uint64) []byte {
	return strconv.AppendUint(append(append(dst, epoch...), '-'), number, 10)
}

// Split splits the name of a subscription, without its predicate, at the first ` FROM ` or ` LAST `. The clause starts
// with that word. Both parts alias the name.
func Split(name []byte) (topic, clause []byte, found bool) {
	at := bytes.Index(name, []byte(" FROM "))
	if last := bytes.Index(name, []byte(" LAST ")); at < 0 || last >= 0 && last < at {
		at = last
	}
	if at < 0 {
		return name, nil, false
	}
	return name[:at], name[at+1:], true
}

// ParseClause parses what Split returns: `FROM` or `LAST`, and the form behind it.
func ParseClause(clause string) (Position, error) {
	word, text, _ := strings.Cut(clause, " ")
	if text = strings.TrimSpace(text); word == "LAST" {
		return parseLast(text)
	}
	return ParseFrom(text)
}

func parseLast(text string) (Position, error) {
	number, each := strings.CutSuffix(text, " EACH")
	n, err := strconv.ParseUint(strings.TrimRight(number, " "), 10, 63)
	switch {
	case err != nil || n == 0:
		return Position{}, fmt.Errorf("LAST needs a number of messages behind it, not %s; such as LAST 10", shown(text))
	case each && n > 1:
		return Position{}, fmt.Errorf("%s is not possible; type LAST 1 EACH, which is the last message of each topic", shown("LAST "+text))
	}
	return Position{Kind: Last, Number: n, Each: each}, nil
}

var (
	numbered = regexp.MustCompile(`^(?:([a-f][0-9a-f]{15})-|#)([0-9]+)$`)
	entry    = regexp.MustCompile(`^[0-9]+-[0-9]+$`)
)

// ParseFrom parses what stands behind FROM.
func ParseFrom(text string) (Position, error) {
	if match := numbered.FindStringSubmatch(text); match != nil {
		n, err := strconv.ParseUint(match[2], 10, 63)
		if err != nil {
			return Position{}, fmt.Errorf("the sequence number of %s is too large", shown(text))
		}
		return Position{Kind: Number, Epoch: match[1], Number: n}, nil
	}
	if text == "0" {
		return Position{Kind: Oldest}, nil
	}
	if group, ok := strings.CutPrefix(text, "GROUP "); ok && group != "" {
		return Position{Kind: Group, Text: group}, nil
	}
	if entry.MatchString(text) {
		return Position{Kind: Entry, Text: text}, nil
	}
	if ago, ok := strings.CutPrefix(text, "-"); ok {
		if age, err := time.ParseDuration(ago); err == nil && age >= 0 {
			return Position{Kind: Age, Age: age}, nil
		}
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return Position{Kind: Time, Time: at}, nil
	}
	return Position{}, fmt.Errorf("%s is no position; type FROM EPOCH-123, FROM #123, FROM 0, FROM -5m, FROM 2026-11-21T10:00:00Z, FROM 1763719200000-0 (an entry), FROM GROUP name, LAST 10 or LAST 1 EACH", shown(text))
}

// shown quotes a text for an error, cut to what fits into a line.
func shown(text string) string {
	const room = 64
	if len(text) > room {
		text = text[:room] + "..."
	}
	return strconv.Quote(text)
}
