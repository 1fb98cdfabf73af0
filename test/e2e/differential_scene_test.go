//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
)

// scene is one sequence's connections to one server.
type scene struct {
	server *server
	conns  []*diffConn
}

func (sc *scene) close() {
	for _, c := range sc.conns {
		c.close()
	}
}

// do plays a step and returns what each connection got, in the form that is compared.
func (sc *scene) do(s step) [][]frame {
	actor := sc.conns[s.conn]
	if actor.closed {
		actor = sc.server.dial()
		sc.conns[s.conn] = actor
	}
	if s.alone && actor.queueing {
		return nil
	}
	if s.waking != nil {
		return sc.doBlocked(actor, s)
	}
	answers := make([][]frame, len(sc.conns))
	tokens, executed := sc.act(actor, s)
	frames := framesOf(tokens)
	if sc.server.pushesFirst {
		frames = messagesLast(frames, executed)
	}
	answers[s.conn] = sc.comparable(frames, actor.shuffled || s.shuffles())
	actor.shuffled = actor.queueing && (actor.shuffled || s.shuffles())
	for i, c := range sc.conns {
		if c != actor && !c.closed {
			answers[i] = sc.comparable(framesOf(c.fence()), false)
		}
	}
	return answers
}

// act sends what a step says and returns all that its connection gets, and whether that ends with what EXEC ran.
func (sc *scene) act(c *diffConn, s step) (tokens []string, executed bool) {
	sc.send(c, s)
	queued := c.queueing
	switch last := s.lastOfTransaction(); {
	case last == "MULTI": // alone in its step. A RESP2 subscriber is refused
		tokens = c.readLines(1)
		c.queueing = queued || slices.Contains(tokens, "+OK\r\n")
	case last != "":
		c.queueing = false
	case queued:
		tokens = c.readLines(s.answers())
	}
	tokens = append(tokens, c.fence()...)
	began := queued || len(tokens) > 0 && tokens[0] == "+OK\r\n"
	exec := slices.IndexFunc(s.commands, func(c command) bool { return c.verb() == "EXEC" })
	return tokens, began && exec == len(s.commands)-1
}

// send writes a step's bytes. Between two writes another connection asks something, so that they arrive apart.
func (sc *scene) send(c *diffConn, s step) {
	var bytes strings.Builder
	for _, command := range s.commands {
		bytes.WriteString(command.encode(sc))
	}
	cut := bytes.Len() * s.cut / 100
	if cut > 0 {
		c.write(bytes.String()[:cut])
		sc.server.control.fence()
	}
	c.write(bytes.String()[cut:])
}

// lastOfTransaction is the last command that begins or ends a transaction; EXEC ends it even with arguments, aborted.
func (s step) lastOfTransaction() string {
	for _, c := range slices.Backward(s.commands) {
		if c.is("MULTI") || c.verb() == "EXEC" || c.is("DISCARD") || c.is("RESET") {
			return c.verb()
		}
	}
	return ""
}

func (s step) answers() int {
	n := 0
	for _, c := range s.commands {
		if !c.silent {
			n++
		}
	}
	return n
}

// shuffles tells whether a step unsubscribes from all, in an order that Redis leaves open.
func (s step) shuffles() bool {
	return slices.ContainsFunc(s.commands, func(c command) bool {
		return c.is("UNSUBSCRIBE") || c.is("PUNSUBSCRIBE") || c.is("SUNSUBSCRIBE")
	})
}

// comparable masks what is each server's own and sorts what Redis leaves unordered.
func (sc *scene) comparable(frames []frame, shuffled bool) []frame {
	if shuffled {
		sortRuns(frames, func(a, b frame) bool { return a.kind() == b.kind() && a.unsubscribes() }, 2)
	}
	sortRuns(frames, func(a, b frame) bool { return a.kind() == "pmessage" && samePublish(a, b) }, 2)
	sortListed(frames)
	if sc.server.keys {
		frames = maskStreams(frames)
	}
	for i, f := range frames {
		if len(f) == 1 {
			f[0] = sc.mask(f[0], frames, i)
		}
	}
	return frames
}

// mask replaces a token that is this server's own by what it stands for.
func (sc *scene) mask(token string, frames []frame, i int) string {
	before := ""
	if i > 0 {
		before = frames[i-1][0]
	}
	switch {
	case token[0] == ':':
		for conn, c := range sc.conns {
			if token == fmt.Sprintf(":%d\r\n", c.id) {
				return fmt.Sprintf("(id of conn %d)", conn)
			}
		}
	case before == "$7\r\nversion\r\n":
		return "(version)"
	case before == "*2\r\n" && isNumber(token, 10, 10), before == "(seconds)" && isNumber(token, 1, 6):
		return map[bool]string{true: "(seconds)", false: "(microseconds)"}[before == "*2\r\n"]
	case strings.Contains(token, "\r\nid=") || strings.Contains(token, "\r\ntxt:id="):
		return sc.maskClients(token)
	case strings.HasPrefix(token, "-ERR Protocol error: "):
		text, _, hint := strings.Cut(token, " (")
		if hint {
			return text + "\r\n"
		}
	}
	return token
}

// sharedFields are those of CLIENT LIST that must be equal.
var sharedFields = []string{"name", "flags", "db", "sub", "psub", "ssub", "multi", "cmd", "user", "redir", "resp"}

// maskClients keeps of CLIENT LIST the connections of the scene and the fields that must be equal.
func (sc *scene) maskClients(token string) string {
	head, text, _ := strings.Cut(token, "id=")
	kept := []string{head[:1] + strings.TrimLeft(head[1:], "0123456789\r\n")}
	for conn, c := range sc.conns {
		for line := range strings.SplitSeq("id="+text, "\n") {
			fields := strings.Fields(line)
			if len(fields) == 0 || fields[0] != fmt.Sprintf("id=%d", c.id) {
				continue
			}
			kept = append(kept, fmt.Sprintf("conn %d:", conn))
			for _, field := range fields {
				if name, _, _ := strings.Cut(field, "="); slices.Contains(sharedFields, name) {
					kept = append(kept, field)
				}
			}
		}
	}
	return strings.Join(kept, " ")
}
