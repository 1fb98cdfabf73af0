package harness

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/server"
)

// Play plays a transcript file against a new server and compares; with update it rewrites the file instead.
//
// A transcript has these kinds of lines. A name is one word and identifies a connection. A name that starts with guest is
// an unauthenticated connection, or one almost without rights.
//
//	# a comment, kept
//	a> PUB news hi      connection a sends this and a line feed
//	a: PUBLISH news hi  connection a sends these words as one RESP command
//	a= bytes\r\n        connection a sends these bytes, with Go escapes; half a command must not end in \n
//	a< …                bytes received by a, with Go escapes; written by the player
//
// After each step the player waits until the step has taken effect and every connection has its output. It uses fences,
// never time: see settle.
func Play(t *testing.T, path string, update bool) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	p := &player{t: t, server: Start(t, server.Options{Version: "test", Epoch: "ef86d081884c7d65"}), conns: make(map[string]*Conn),
		inMulti: make(map[string]bool), lineEnds: make(map[string]string)}
	var got strings.Builder
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if step.MatchString(line) {
			if line[strings.IndexAny(line, "<>:=")] == '<' {
				continue // the recorded output
			}
			fmt.Fprintln(&got, line)
			p.step(line, &got)
			continue
		}
		require.True(t, line == "" || line[0] == '#', "%s: not a step: %q", path, line)
		fmt.Fprintln(&got, line)
	}
	if update {
		require.NoError(t, os.WriteFile(path, []byte(got.String()), 0o644)) // a test file of the project
		return
	}
	assert.Equal(t, string(text), got.String(), "if this is right now, run the test with -update")
}

var step = regexp.MustCompile(`^[a-z0-9]+[<>:=]( |$)`)

type player struct {
	t        *testing.T
	server   *Server
	conns    map[string]*Conn
	order    []string
	inMulti  map[string]bool   // by connection: inside MULTI
	lineEnds map[string]string // by connection: its line end
}

// varying matches the parts of replies that differ between runs: ids, times, secrets. The groups are the constant parts.
var varying = regexp.MustCompile(`(\$2\r\nid\r\n:)\d+|` +
	`((?:expires|timestamp-created|timestamp-last-updated)\r\n:)\d+|` +
	`(age-seconds\r\n)(?:\$\d+\r\n|,)[0-9.]+|` +
	`(client-info\r\n)\$\d+\r\n[^\r]*|` +
	`^(\$64\r\n)[0-9a-f]{64}|` +
	`(\$5\r\nepoch\r\n\$16\r\n)[0-9a-f]{16}|` +
	`(OK SEQ ON )[0-9a-f]{16}|` +
	`\$1\d\r\n1[6-9]\d{11}-\d+`)

func mask(frame []byte) []byte {
	return varying.ReplaceAll(frame, []byte("${1}${2}${3}${4}${5}${6}${7}N"))
}

func (p *player) step(line string, got *strings.Builder) {
	at := strings.IndexAny(line, ">:=")
	name, rest := line[:at], strings.TrimPrefix(line[at+1:], " ")
	c := p.conns[name]
	if c == nil {
		c = p.server.Dial(p.t)
		p.lineEnds[name] = "\n"
		p.conns[name] = c
		p.order = append(p.order, name)
	}
	p.note(name, rest)
	switch line[at] {
	case '>':
		c.Send("%s\n", rest)
	case ':':
		words, err := splitQuoted(rest)
		require.NoError(p.t, err, line)
		c.Command(words...)
	case '=':
		raw, err := strconv.Unquote(`"` + rest + `"`)
		require.NoError(p.t, err, line)
		c.Send("%s", raw)
		if !strings.HasSuffix(raw, "\n") {
			return // the first half of something: there is nothing to wait for
		}
		if strings.HasSuffix(raw, "\r\n") && raw[0] != '*' {
			p.lineEnds[name] = "\r\n"
		}
	}
	p.settle(c, name, got)
}

// settle reads what each connection got. A mark of the player's own fences the sender: it comes back when all that it
// sent before has taken effect. The others are fenced in turn, afterwards, so that what the step caused is in front of
// their marks.
func (p *player) settle(sender *Conn, name string, got *strings.Builder) {
	p.read(sender, name, got)
	for _, other := range p.order {
		if other != name && p.conns[other] != nil {
			p.read(p.conns[other], other, got)
		}
	}
}

const mark = "-mark-"

// fence returns a command whose reply contains mark in every state of the connection. A RESP2 subscriber, and a client
// with CLIENT REPLY OFF, gets the confirmation of an UNSUBSCRIBE without subscription. MULTI would queue that, but runs
// verbs of lines at once. Such a line must end as the lines of the connection do.
func (p *player) fence(name string) string {
	if strings.HasPrefix(name, "guest") {
		return RESP(mark) // an unknown command is an error before authentication
	}
	if p.inMulti[name] {
		return "UNSUB " + mark + p.lineEnds[name]
	}
	return RESP("UNSUBSCRIBE", mark)
}

// note tracks the state that fence needs.
func (p *player) note(name, sent string) {
	words := strings.Fields(strings.ToUpper(sent))
	switch {
	case len(words) == 0:
	case words[0] == "MULTI":
		p.inMulti[name] = true
	case words[0] == "EXEC" || words[0] == "DISCARD" || words[0] == "RESET":
		p.inMulti[name] = false
	}
}

// read records a connection's frames up to the fence, or to its end.
func (p *player) read(c *Conn, name string, got *strings.Builder) {
	_, _ = c.Write([]byte(p.fence(name))) // fails if the server has closed, which the read reports
	for {
		frame, err := c.Frame()
		if err != nil {
			if len(frame) > 0 {
				fmt.Fprintf(got, "%s< %s\n", name, quote(frame))
			}
			fmt.Fprintf(got, "%s< (closed)\n", name)
			delete(p.conns, name)
			_ = c.Close()
			return
		}
		if bytes.Contains(frame, []byte(mark)) {
			return
		}
		fmt.Fprintf(got, "%s< %s\n", name, quote(mask(frame)))
	}
}

// quote escapes bytes as Go does, without surrounding quotes and without escaping quotes.
func quote(b []byte) string {
	s := strconv.Quote(string(b))
	return strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`)
}

// splitQuoted splits words at spaces; a word may be a Go string in double quotes.
func splitQuoted(s string) (words []string, err error) {
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		if s[0] != '"' {
			word, rest, _ := strings.Cut(s, " ")
			words, s = append(words, word), rest
			continue
		}
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			return nil, err
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, err
		}
		words, s = append(words, word), s[len(quoted):]
	}
	return words, nil
}
