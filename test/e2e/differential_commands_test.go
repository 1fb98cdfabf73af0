//go:build e2e

package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// command is one command, or what should have been one.
type command struct {
	words  []string // {id 2} and {address 2} stand for what connection 2 has on the server
	typed  string   // the bytes to send; empty: the words as a RESP array
	silent bool     // it is no command and gets no answer
}

func (c command) String() string {
	if c.typed != "" {
		return strconv.Quote(c.typed)
	}
	return fmt.Sprintf("%q", c.words)
}

func (c command) verb() string {
	if len(c.words) == 0 {
		return ""
	}
	return strings.ToUpper(c.words[0])
}

// is tells whether a command is a verb without arguments.
func (c command) is(verb string) bool { return len(c.words) == 1 && c.verb() == verb }

var placeholder = regexp.MustCompile(`^\{(id|address) (\d)\}$`)

func (c command) encode(sc *scene) string {
	if c.typed != "" {
		return c.typed
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(c.words))
	for _, word := range c.words {
		if found := placeholder.FindStringSubmatch(word); found != nil {
			conn, _ := strconv.Atoi(found[2]) // a digit
			word = sc.conns[conn%len(sc.conns)].known(found[1])
		}
		b.WriteString(bulkString(word))
	}
	return b.String()
}

func (c *diffConn) known(what string) string {
	if what == "id" {
		return strconv.FormatInt(c.id, 10)
	}
	return c.sock.LocalAddr().String()
}

var (
	plain     = regexp.MustCompile(`^[!#-&(-~]+$`)  // needs no quotes
	printable = regexp.MustCompile(`^[ -\[\]-~]*$`) // no backslash: it cannot stand before the closing quote
)

// typed makes a line of words, in Redis' quoting. Placeholders have no place in it.
func typed(g *generator, words []string) command {
	var line []string
	for _, word := range words {
		switch {
		case plain.MatchString(word) && g.oneIn(2):
			line = append(line, word)
		case printable.MatchString(word) && g.oneIn(2):
			line = append(line, "'"+strings.ReplaceAll(word, "'", `\'`)+"'")
		default:
			line = append(line, quoted(word))
		}
	}
	space, end := pick(g, " ", "  ", "\t"), pick(g, "\n", "\r\n")
	return command{words: words, typed: pick(g, "", " ") + strings.Join(line, space) + pick(g, "", " ") + end}
}

func quoted(word string) string {
	var b strings.Builder
	for _, c := range []byte(word) {
		switch {
		case c == '\n':
			b.WriteString(`\n`)
		case c < ' ' || c > '~' || c == '"' || c == '\\':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return `"` + b.String() + `"`
}

// malformed is what Redis answers with an error and the end of the connection.
var malformed = []string{
	"*x\r\n", "*\r\n", "* \r\n", "*+1\r\n", "*01\r\n", "*4000000000\r\n", "*99999999999999999999\r\n", "*1 \r\n", "*1.5\r\n",
	"*1\r\n$-1\r\n", "*1\r\n$-2\r\n", "*1\r\n$x\r\n", "*1\r\n$\r\n", "*1\r\n$04\r\nPING\r\n", "*1\r\n$+4\r\nPING\r\n",
	"*1\r\n$9223372036854775807\r\n", "*1\r\n$99999999999999999999\r\n", "*1\r\n$999999999999\r\n",
	"*1\r\n:1\r\n", "*1\r\nPING\r\n", "*2\r\n$4\r\nPING\r\n*1\r\n", "*1\r\n*1\r\n$4\r\nPING\r\n",
	"*1\n$4\nPING\n\r\n",
	"PING \"a\r\n", "PING 'a\n", "PING \"a\"b\n", "PING 'a'b\r\n", "ECHO a\"b\n", "PING \"\\\"\r\n", "\"\r\n", "'\n", "PUBLISH a I'm here\n",
	strings.Repeat("x", 200_000), "*" + strings.Repeat("1", 200_000), "*1\r\n$" + strings.Repeat("1", 200_000),
	"PING " + strings.Repeat("y", 200_000),
}

// browsers are those that were tricked into talking to the port: Redis hangs up. What it had to say before may be lost then.
var browsers = []string{
	"POST / HTTP/1.1\r\n", "post\n", "Host: x\r\n", "*1\r\n$4\r\nPOST\r\n", "*2\r\n$5\r\nhost:\r\n$1\r\nx\r\n",
}

// empties are between commands and no commands.
var empties = []string{"\r\n", "\n", "*0\r\n", "*-1\r\n", "*-7\r\n", " \r\n", "\n\r\n\n"}
