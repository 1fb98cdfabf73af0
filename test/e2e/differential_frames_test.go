//go:build e2e

package e2e

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A token is a simple value as it was on the wire, or the head of an aggregate: "*3\r\n". What answers EXEC may not
// be a tree (SUBSCRIBE a b is one element in its count, and two frames), so answers are compared token by token.

func readToken(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return line, err
	}
	switch line[0] {
	case '$', '=', '!': // bulk string, verbatim string, blob error
		size, err := strconv.Atoi(strings.TrimSpace(line[1:]))
		if err != nil || size < 0 {
			return line, nil
		}
		body := make([]byte, size+2)
		n, err := io.ReadFull(in, body)
		return line + string(body[:n]), err
	}
	return line, nil
}

func bulkString(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

func isNumber(token string, least, most int) bool {
	_, body, bulk := strings.Cut(strings.TrimSuffix(token, "\r\n"), "\r\n")
	_, err := strconv.ParseUint(body, 10, 64)
	return bulk && err == nil && len(body) >= least && len(body) <= most
}

// frame is a pub/sub frame, from its head to its last token, or any other token.
type frame []string

// kinds are those of pub/sub frames.
var kinds = []string{
	"message", "pmessage", "smessage", "subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe",
}

func framesOf(tokens []string) []frame {
	var frames []frame
	for len(tokens) > 0 {
		n := 1
		if head := tokens[0]; len(tokens) > 1 && (head[0] == '*' || head[0] == '>') {
			if size, err := strconv.Atoi(strings.TrimSpace(head[1:])); err == nil && size < len(tokens) && kindOf(tokens[1]) != "" {
				n += size
			}
		}
		frames = append(frames, slices.Clone(tokens[:n]))
		tokens = tokens[n:]
	}
	return frames
}

func kindOf(token string) string {
	for _, kind := range kinds {
		if token == bulkString(kind) {
			return kind
		}
	}
	return ""
}

func (f frame) kind() string {
	if len(f) == 1 {
		return ""
	}
	return kindOf(f[1])
}

func (f frame) isMessage() bool    { return strings.HasSuffix(f.kind(), "message") }
func (f frame) unsubscribes() bool { return strings.HasSuffix(f.kind(), "unsubscribe") }

// samePublish tells whether two messages have the same topic and payload: theirs are the last two tokens.
func samePublish(a, b frame) bool {
	return a.isMessage() && b.isMessage() && slices.Equal(a[len(a)-2:], b[len(b)-2:])
}

// sortRuns orders one field, from first to last of each run of frames of which each is alike to the one before.
func sortRuns(frames []frame, alike func(a, b frame) bool, field int) {
	for begin := 0; begin < len(frames); {
		end := begin + 1
		for end < len(frames) && alike(frames[end-1], frames[end]) {
			end++
		}
		var values []string
		for _, f := range frames[begin:end] {
			if end-begin > 1 {
				values = append(values, f[field])
			}
		}
		slices.Sort(values)
		for i, value := range values {
			frames[begin+i][field] = value
		}
		begin = end
	}
}

// sortListed orders the names in arrays of nothing but topics, which only PUBSUB CHANNELS and SHARDCHANNELS answer.
func sortListed(frames []frame) {
	for i, f := range frames {
		var n int
		if _, err := fmt.Sscanf(f[0], "*%d\r\n", &n); err != nil || len(f) > 1 || n < 0 || i+n >= len(frames) {
			continue
		}
		listed := frames[i+1 : i+1+n]
		if !slices.ContainsFunc(listed, func(f frame) bool { return len(f) > 1 || !isTopic(f[0]) }) {
			slices.SortFunc(listed, func(a, b frame) int { return cmp.Compare(a[0], b[0]) })
		}
	}
}

func isTopic(token string) bool {
	return slices.ContainsFunc(topics, func(topic string) bool { return token == bulkString(topic) })
}

// messagesLast puts what a publisher up to 7.0 got in the order of 7.2: its messages behind the reply to its PUBLISH,
// or behind all that EXEC answers. Payloads are unique, so messages of one publish are told from those before it.
func messagesLast(frames []frame, executed bool) []frame {
	if executed {
		slices.SortStableFunc(frames, func(a, b frame) int {
			return map[bool]int{true: 1}[a.isMessage()] - map[bool]int{true: 1}[b.isMessage()]
		})
		return frames
	}
	done := 0 // what stands before has its reply
	for i, f := range frames {
		if f[0][0] != ':' {
			continue
		}
		first := i
		for first > done && samePublish(frames[first-1], frames[i-1]) {
			first--
		}
		done = i + 1
		copy(frames[first+1:i+1], frames[first:i])
		frames[first] = f
	}
	return frames
}
