package cli

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/client"
)

// printed is a reply as conch do prints it.
func printed(t *testing.T, reply string, json bool) (string, error) {
	t.Helper()
	var text bytes.Buffer
	out := bufio.NewWriter(&text)
	var printer replyPrinter = linesPrinter{out}
	if json {
		printer = jsonPrinter{out}
	}
	err := printReply(bufio.NewReader(strings.NewReader(reply)), printer)
	require.NoError(t, out.Flush())
	return text.String(), err
}

func TestPrintReply(t *testing.T) {
	for _, c := range []struct{ reply, lines, json string }{
		{"+OK\r\n", "OK\n", `"OK"`},
		{":-3\r\n", "-3\n", "-3"},
		{"$5\r\na\r\nb\x1b\r\n", "a\nb\\x1b\n", `"a\r\nb\u001b"`},
		{"$0\r\n\r\n", "\n", `""`},
		{"$-1\r\n", "(nil)\n", "null"},
		{"*-1\r\n", "(nil)\n", "null"},
		{"_\r\n", "(nil)\n", "null"},
		{"#t\r\n", "true\n", "true"},
		{"#f\r\n", "false\n", "false"},
		{",1.5\r\n", "1.5\n", "1.5"},
		{",inf\r\n", "inf\n", `"inf"`},
		{"(123456789012345678901\r\n", "123456789012345678901\n", "123456789012345678901"},
		{"=8\r\ntxt:a\r\nb\r\n", "a\nb\n", `"a\r\nb"`},
		{"*0\r\n", "(empty)\n", "[]"},
		{"%0\r\n", "(empty)\n", "{}"},
		{"*3\r\n$1\r\na\r\n:1\r\n_\r\n", "a\n1\n(nil)\n", `["a",1,null]`},
		{"*2\r\n$3\r\na\nb\r\n-ERR no\r\n", "a\\nb\n(error) ERR no\n", `["a\nb",{"error":"ERR no"}]`},
		{"*1\r\n$1\r\n\xff\r\n", "\\xff\n", `[{"base64":"/w=="}]`},
		{"%2\r\n+a\r\n:1\r\n:2\r\n*2\r\n+x\r\n+y\r\n", "a: 1\n2:\n  x\n  y\n", `{"a":1,"2":["x","y"]}`},
		{"*2\r\n*2\r\n:1\r\n:2\r\n%1\r\n+k\r\n+v\r\n", "-\n  1\n  2\n-\n  k: v\n", `[[1,2],{"k":"v"}]`},
		{"*1\r\n*0\r\n", "(empty)\n", `[[]]`},
		{"~1\r\n+a\r\n", "a\n", `["a"]`},
	} {
		got, err := printed(t, c.reply, false)
		assert.NoError(t, err, "%q", c.reply)
		assert.Equal(t, c.lines, got, "%q", c.reply)
		got, err = printed(t, c.reply, true)
		assert.NoError(t, err, "%q", c.reply)
		assert.Equal(t, c.json+"\n", got, "%q", c.reply)
	}
}

func TestPrintReplyErrors(t *testing.T) {
	for reply, want := range map[string]string{
		"":                               "the server closed the connection",
		"$5\r\nab":                       "EOF",
		"\r\n":                           "the server's reply cannot be read",
		"?\r\n":                          "the server's reply cannot be read",
		"*-2\r\n":                        "the server's reply cannot be read",
		"$x\r\n":                         "the server's reply cannot be read",
		"$9223372036854775807\r\n":       "a text of 9223372036854775807 bytes",
		strings.Repeat("*1\r\n", 100):    "nested too deeply",
		"-ERR unknown command 'FOO'\r\n": "ERR unknown command 'FOO'",
	} {
		_, err := printed(t, reply, false)
		assert.ErrorContains(t, err, want, "%q", reply)
	}
	_, err := printed(t, "-NOAUTH x\r\n", false)
	assert.Equal(t, &client.Error{Code: client.CodeNoAuth, Text: "x"}, err)
}

func FuzzPrintReply(f *testing.F) {
	f.Add([]byte("%1\r\n+a\r\n*2\r\n$1\r\nx\r\n_\r\n"))
	f.Add([]byte("$9223372036854775807\r\n"))
	f.Fuzz(func(_ *testing.T, reply []byte) {
		for _, p := range []replyPrinter{linesPrinter{bufio.NewWriter(io.Discard)}, jsonPrinter{bufio.NewWriter(io.Discard)}} {
			_ = printReply(bufio.NewReader(bytes.NewReader(reply)), p)
		}
	})
}

// do runs conch do against an address.
func do(address string, args ...string) (status int, out, log string) {
	var stdout, stderr bytes.Buffer
	env := environment(map[string]string{"CONCH_URL": address})
	status = run(append([]string{"conch"}, args...), env, nil, &stdout, &stderr, nil)
	return status, stdout.String(), stderr.String()
}

func TestDo(t *testing.T) {
	p := start(t)
	for _, c := range []struct {
		args   string
		status int
		out    string
	}{
		{"do PING", 0, "PONG\n"},
		{"do PUBLISH news hi", 0, "0\n"},
		{"do --json PUBLISH news -5", 0, "0\n"},
		{"do ECHO --json", 0, "--json\n"},
		{"do -j PUBSUB NUMSUB a", 0, "[\"a\",0]\n"},
		{"do CONFIG GET max-line", 0, ""},
		{"do PUBSUB CHANNELS", 0, "(empty)\n"},
	} {
		status, out, log := do(p.Address, strings.Fields(c.args)...)
		assert.Equal(t, c.status, status, log)
		assert.Empty(t, log)
		if c.out != "" {
			assert.Equal(t, c.out, out, c.args)
		}
	}
	_, out, _ := do(p.Address, "do", "INFO", "server")
	assert.Contains(t, out, "\ntcp_port:")
	assert.NotContains(t, out, "\r")
	status, out, log := do(p.Address, "do", "FOO", "bar")
	assert.Equal(t, statusFailure, status)
	assert.Empty(t, out)
	assert.Equal(t, "conch: do: ERR unknown command 'FOO', with args beginning with: 'bar'\n", log)
	status, out, _ = do(p.Address, "ping")
	assert.Equal(t, statusOK, status)
	assert.Regexp(t, `^PONG from `+p.Address+` in \d+\.\d\d ms\n$`, out)
}

func TestDoWithAPassword(t *testing.T) {
	p := start(t, "--requirepass=open sesame")
	for _, command := range [][]string{{"do", "PING"}, {"ping"}} {
		status, out, log := do(p.Address, command...)
		assert.Equal(t, statusFailure, status)
		assert.Empty(t, out)
		assert.Regexp(t, `^conch: `+command[0]+`: the server at .* requires a password \(NOAUTH\); give the password with --password-file, or as conch://user:password@host:port in CONCH_URL\n$`, log)
		status, _, log = do("conch://:open%20sesame@"+p.Address, command...)
		assert.Equal(t, statusOK, status, log)
		status, _, log = do("conch://:wrong@"+p.Address, command...)
		assert.Equal(t, statusFailure, status)
		assert.Contains(t, log, "WRONGPASS")
	}
}

// A server without HELLO is spoken to in RESP2.
func TestDoWithoutRESP3(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	got := make(chan string, 1)
	go func() {
		sock, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = sock.Close() }()
		all := make([]byte, 0, 1024)
		for _, reply := range []string{"-ERR unknown command\r\n", "+OK\r\n", "+PONG\r\n"} {
			n, _ := sock.Read(all[len(all):cap(all)])
			all = all[:len(all)+n]
			_, _ = io.WriteString(sock, reply)
		}
		got <- string(all)
	}()
	status, out, log := do("redis://:secret@"+l.Addr().String(), "do", "PING")
	assert.Equal(t, statusOK, status, log)
	assert.Equal(t, "PONG\n", out)
	assert.Contains(t, <-got, "$4\r\nAUTH\r\n$7\r\ndefault\r\n$6\r\nsecret\r\n")
}

// The reader of the output is gone: no failure, and no wait for the rest of the reply.
func TestDoIntoAClosedPipe(t *testing.T) {
	p := start(t)
	from, to, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, from.Close())
	defer func() { _ = to.Close() }()
	var stderr bytes.Buffer
	env := environment(map[string]string{"CONCH_URL": p.Address})
	assert.Equal(t, statusOK, run([]string{"conch", "do", "COMMAND"}, env, nil, to, &stderr, nil))
	assert.Empty(t, stderr.String())
}
