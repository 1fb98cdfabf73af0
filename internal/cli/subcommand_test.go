package cli

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// screen is what a subcommand has written so far.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until a text is there.
func (s *screen) await(t *testing.T, text string) {
	t.Helper()
	harness.Eventually(t, func() bool { return strings.Contains(s.String(), text) }, "no "+text)
}

// running is a subcommand that runs inside the test.
type running struct {
	t        *testing.T
	stdin    *io.PipeWriter
	out, err screen
	signals  chan os.Signal
	exited   chan int
}

// begin runs a subcommand with an address as CONCH_URL, and quick attempts to come back.
func begin(t *testing.T, address string, args ...string) *running {
	t.Helper()
	r := &running{t: t, signals: make(chan os.Signal, 1), exited: make(chan int, 1)}
	from, to := io.Pipe()
	r.stdin = to
	t.Cleanup(func() { _ = to.Close() })
	env := environment(map[string]string{"CONCH_URL": "conch://" + address + "?min_backoff=1ms&max_backoff=10ms&dial_timeout=10m"})
	go func() { r.exited <- run(append([]string{"conch"}, args...), env, from, &r.out, &r.err, r.signals) }()
	return r
}

// enter writes to the standard input.
func (r *running) enter(format string, args ...any) {
	r.t.Helper()
	_, err := fmt.Fprintf(r.stdin, format, args...)
	require.NoError(r.t, err)
}

// ends holds with which status the subcommand ends.
func (r *running) ends(status int) {
	r.t.Helper()
	require.Equal(r.t, status, <-r.exited, "%s", r.err.String())
}

// listening waits until there are so many subscriptions, over all connections.
func listening(t *testing.T, address string, n int) {
	t.Helper()
	sock, err := net.Dial("tcp", address)
	require.NoError(t, err)
	c := harness.Use(t, sock)
	harness.Eventually(t, func() bool {
		c.Command("CLIENT", "LIST")
		frame, err := c.Frame()
		require.NoError(t, err)
		all := 0
		for field := range strings.FieldsSeq(string(frame)) {
			name, value, _ := strings.Cut(field, "=")
			if name == "sub" || name == "psub" {
				subscriptions, err := strconv.Atoi(value)
				require.NoError(t, err)
				all += subscriptions
			}
		}
		return all == n
	}, "nobody listens")
}

func TestStatusTable(t *testing.T) {
	known := map[string]bool{}
	for _, s := range statusTable {
		known[s.status] = true
		for _, help := range []string{"sub", "pub"} {
			var out bytes.Buffer
			run([]string{"conch", "help", help}, nothing, nil, &out, io.Discard, nil)
			assert.Contains(t, out.String(), fmt.Sprintf("   %-9s %s\n", s.status, s.meaning))
		}
	}
	for _, status := range []int{statusOK, statusFailure, statusUsage, statusUnacked, statusTimeout} {
		assert.True(t, known[fmt.Sprint(status)], status)
	}
	assert.Equal(t, 130, signalStatus(syscall.SIGINT))
	assert.Equal(t, 143, signalStatus(syscall.SIGTERM))
	rows := harness.Table(t, "../../docs/command-line.md", "statuses")
	require.Len(t, rows, len(statusTable))
	for i, s := range statusTable {
		assert.Equal(t, []string{s.status, s.meaning}, rows[i])
	}
}

func TestWrongUseOfSubAndPub(t *testing.T) {
	password := t.TempDir() + "/empty"
	require.NoError(t, os.WriteFile(password, []byte("\n"), 0o600))
	for _, c := range []struct{ args, want string }{
		{"sub", "sub: expected a topic, or --pattern; usage: conch sub [options] topic...; see conch sub --help"},
		{"sub --jsn a", "sub: unknown flag --jsn (did you mean --json?); see conch sub --help"},
		{"sub -n2 a", "sub: unknown flag -n2 (did you mean -n 2?); see conch sub --help"},
		{"sub -patern a", "sub: unknown flag -patern (did you mean --pattern?); see conch sub --help"},
		{"sub -nj 2 a", "sub: flag --count needs a value: --count NUMBER; see conch sub --help"},
		{"sub a -n", "sub: flag --count needs a value: --count NUMBER; see conch sub --help"},
		{"sub -jx a", "sub: unknown flag -jx; see conch sub --help"},
		{"sub -jsn=a b", "sub: unknown flag -jsn (did you mean --json?); see conch sub --help"},
		{"sub --n2 a", "sub: unknown flag --n2; see conch sub --help"},
		{"sub -jr a", "sub: --json and --raw exclude each other; see conch sub --help"},
		{"sub --json --raw a", "sub: --json and --raw exclude each other; see conch sub --help"},
		{"sub --raw --sequences a", "sub: --raw shows no sequence numbers; leave out --sequences, or take --json; see conch sub --help"},
		{"sub -n 0 a", `sub: flag --count: expected a whole number from 1 on, not "0"; see conch sub --help`},
		{"sub -t soon a", `sub: flag --timeout: expected a time such as 500ms, 60s or 5m, or seconds such as 60, not "soon"; see conch sub --help`},
		{"sub --where= a", "sub: flag --where: expected an expression, such as 'price > 100'; see conch sub --help"},
		{"sub --where a --where b c", "sub: flag --where: it is given twice; join the expressions with &&, as in 'price > 100 && size < 5'; see conch sub --help"},
		{"sub --pattern", "sub: flag --pattern needs a value: --pattern GLOB; see conch sub --help"},
		{"sub --url http://x a", `sub: scheme "http" is none of conch, conchs, redis, rediss and unix; see conch sub --help`},
		{"sub --url conch://u:secret@%zz a", "sub: invalid URL: expected scheme://user:password@host:port, with special characters escaped; see conch sub --help"},
		{"sub --tls-ca x a", "sub: tls-ca, tls-cert and tls-key need a URL with TLS, e.g. conchs://127.0.0.1:8890; see conch sub --help"},
		{"pub", "pub: expected a topic; usage: conch pub [options] topic [message]; see conch pub --help"},
		{"pub --json --quiet a", "pub: --json and --quiet exclude each other; see conch pub --help"},
		{"pub -c 65 a", "pub: flag --connections: expected 1 to 64, not 65; see conch pub --help"},
		{"pub --url conchs://x --tls-cert x a", "pub: tls-cert and tls-key belong together; give both; see conch pub --help"},
		{"completion", "completion: expected the name of a shell: bash, zsh, fish or powershell; see conch completion --help"},
		{"completion csh", "completion: expected the name of a shell: bash, zsh, fish or powershell; see conch completion --help"},
		{"pub --password-file /none a b", "pub: password-file: open /none: no such file or directory"},
		{"pub --password-file " + password + " a b", "pub: password-file: there is no password in the first line of " + password},
		{"pub --url conchs://x --tls-ca " + password + " a b", "pub: tls-ca: there is no certificate in " + password},
		{"pub --unacked " + password + " a b", "pub: unacked: open " + password + ": file exists"},
		{"do", "do: expected a command; usage: conch do [options] COMMAND [ARG...]; see conch do --help"},
		{"do monitor", "do: MONITOR has no single reply; use conch sub for messages; see conch do --help"},
		{"do --url 127.0.0.1:1 PING", "do: no server listens on 127.0.0.1:1; start one, or give its address with --url"},
		{"ping x", "ping: expected no argument, got [\"x\"]; the server is given with --url; see conch ping --help"},
		{"ping --url 127.0.0.1:1", "ping: no server listens on 127.0.0.1:1; start one, or give its address with --url"},
		{"health x", "health: expected no argument, got [\"x\"]; the server is given with --url; see conch health --help"},
		{"health --url ftp://x", `health: scheme "ftp" is none of conch, conchs, redis, rediss and unix; see conch health --help`},
		{"health --url 127.0.0.1:1", "health: no server listens on 127.0.0.1:1; start one, or give its address with --url"},
		{"health --url https://127.0.0.1:1 --tls-ca /none", "health: tls-ca: open /none: no such file or directory"},
		{"sub --url 127.0.0.1:1 a", "sub: no server listens on 127.0.0.1:1; start one, or give its address with --url"},
		{"pub --url 127.0.0.1:1 a b", "pub: no server listens on 127.0.0.1:1; start one, or give its address with --url"},
	} {
		t.Run(c.args, func(t *testing.T) {
			var out, stderr bytes.Buffer
			status := run(append([]string{"conch"}, strings.Fields(c.args)...), nothing, strings.NewReader(""), &out, &stderr, nil)
			want := statusFailure
			if strings.Contains(c.want, "--help") {
				want = statusUsage
			}
			assert.Equal(t, want, status)
			assert.Equal(t, "conch: "+c.want+"\n", stderr.String())
			assert.Empty(t, out.String())
		})
	}
}

func TestTheEnvironmentNamesTheServer(t *testing.T) {
	env := environment(map[string]string{"CONCH_URL": "http://x", "CONCH_PASSWORD_FILE": "/none"})
	var stderr bytes.Buffer
	assert.Equal(t, statusUsage, run([]string{"conch", "pub", "a", "b"}, env, nil, io.Discard, &stderr, nil))
	assert.Contains(t, stderr.String(), `scheme "http"`)
	stderr.Reset()
	assert.Equal(t, statusFailure, run([]string{"conch", "pub", "-u", "127.0.0.1:1", "a", "b"}, env, nil, io.Discard, &stderr, nil))
	assert.Contains(t, stderr.String(), "open /none")
}

// A server with a password and a certificate of its own authority.
func TestPasswordAndTLS(t *testing.T) {
	folder := t.TempDir()
	a := harness.NewAuthority(t)
	cert, key := a.Valid(t, "localhost").Write(t, folder)
	harness.WriteFile(t, folder+"/ca.pem", a.PEM)
	harness.WriteFile(t, folder+"/password", []byte("open sesame\nnot this\n"))
	p := start(t, "--tls-listen=127.0.0.1:0", "--tls-cert="+cert, "--tls-key="+key, "--requirepass=open sesame")
	url, _ := p.First["tls-address"].(string)
	args := []string{"conch", "pub", "--url", "conchs://" + url + "?dial_timeout=10m", "--tls-ca", folder + "/ca.pem"}
	try := func(args ...string) (status int, text string) {
		var out screen
		status = run(append(args, "news", "hi"), nothing, nil, &out, &out, nil)
		return status, out.String()
	}
	status, text := try(append(args, "--password-file", folder+"/password")...)
	assert.Equal(t, statusOK, status)
	assert.Equal(t, "published 1 message, 0 receivers\n", text)
	status, text = try(args...)
	assert.Equal(t, statusFailure, status)
	assert.Regexp(t, `requires a password \(NOAUTH\); give the password with --password-file, or as conch://user:password@host:port in CONCH_URL\n$`, text)
	harness.WriteFile(t, folder+"/password", []byte("close sesame"))
	status, text = try(append(args, "--password-file", folder+"/password")...)
	assert.Equal(t, statusFailure, status)
	assert.Contains(t, text, "WRONGPASS")
	status, text = try("conch", "pub", "--url", "conchs://"+url+"?dial_timeout=10m")
	assert.Equal(t, statusFailure, status)
	assert.Regexp(t, "unknown authority; give the certificate of its authority with --tls-ca\n$", text)
}

// A terminal has any width: prose is filled to it, and the columns of examples stay.
func TestManPagesFillProse(t *testing.T) {
	prose := strings.Repeat("word ", 20) + "\n" + "and its end - with a dash"
	assert.Equal(t, []string{
		".PP\n.nf\nconch sub news     as lines\nconch sub \\-\\-json   for programs\n.fi",
		".PP\n" + strings.ReplaceAll(prose, "-", `\-`),
	}, paragraphs("conch sub news     as lines\nconch sub --json   for programs\n\n"+prose))
}
