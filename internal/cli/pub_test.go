package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/faulty"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/protocol"
	"github.com/conchmq/conch/server"
)

func TestPub(t *testing.T) {
	for _, c := range []struct {
		args  []string
		input string
		want  []string // what is received
		out   string
	}{
		{[]string{"news", "hi"}, "not read", []string{"hi"}, "published 1 message, 1 receiver\n"},
		{[]string{"news", "several", "words  as they", "are"}, "", []string{"several words  as they are"}, "published 1 message, 1 receiver\n"},
		{[]string{"news", ""}, "not read", []string{""}, "published 1 message, 1 receiver\n"},
		{[]string{"news", "--", "-5"}, "", []string{"-5"}, "published 1 message, 1 receiver\n"},
		{[]string{"news"}, "one\n\ntwo\r\nlast without end", []string{"one", "", `two\r`, "last without end"}, "published 4 messages, 4 receivers\n"},
		{[]string{"news"}, "", nil, "published 0 messages, 0 receivers\n"},
		{[]string{"--quiet", "news"}, "one\ntwo\n", []string{"one", "two"}, ""},
		{[]string{"--json", "news"}, "one\ntwo\n", []string{"one", "two"}, `{"topic":"news","receivers":1,"sequence":1}
{"topic":"news","receivers":1,"sequence":2}
`},
		{[]string{"-j", "\xff", "x"}, "", nil, `{"topic_base64":"/w==","receivers":0,"sequence":1}` + "\n"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			s := harness.Start(t, server.Options{})
			ear := s.Dial(t)
			ear.Send("SUB news\n")
			ear.Expect("OK SUB news\n")
			r := begin(t, s.Addr, append([]string{"pub"}, c.args...)...)
			go func() {
				_, _ = io.WriteString(r.stdin, c.input)
				_ = r.stdin.Close()
			}()
			r.ends(statusOK)
			assert.Equal(t, c.out, r.out.String())
			assert.Empty(t, r.err.String())
			for _, m := range c.want {
				ear.Expect("UPDATE news " + m + "\n")
			}
			ear.Fence()
		})
	}
}

func TestPubTenThousandLines(t *testing.T) {
	const n = 10_000
	for _, connections := range []string{"1", "4"} {
		s := harness.Start(t, server.Options{})
		sub := begin(t, s.Addr, "sub", "--raw", "-n", fmt.Sprint(n), "news")
		listening(t, s.Addr, 1)
		pub := begin(t, s.Addr, "pub", "-c", connections, "news")
		var all strings.Builder
		for i := range n {
			fmt.Fprintln(&all, "line", i)
		}
		pub.enter("%s", all.String())
		require.NoError(t, pub.stdin.Close())
		pub.ends(statusOK)
		assert.Equal(t, "published 10000 messages, 10000 receivers\n", pub.out.String())
		sub.ends(statusOK)
		if connections == "1" {
			assert.Equal(t, all.String(), sub.out.String())
		} else {
			assert.ElementsMatch(t, strings.Split(all.String(), "\n"), strings.Split(sub.out.String(), "\n"))
		}
	}
}

// The acknowledged lines and the file together are the input.
func TestPubWhenTheConnectionBreaks(t *testing.T) {
	s := harness.Start(t, server.Options{})
	proxy, err := faulty.Start(s.Addr, func(uint64) faulty.Plan { return faulty.Plan{} })
	require.NoError(t, err)
	t.Cleanup(proxy.Shut)
	file := filepath.Join(t.TempDir(), "rest")
	r := begin(t, proxy.Addr(), "pub", "--json", "--unacked", file, "news")
	input := ""
	enter := func(from, to int) {
		var b strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintln(&b, "line", i)
		}
		input += b.String()
		r.enter("%s", b.String())
	}
	enter(0, 1000)
	r.out.await(t, `"sequence":10}`) // some are acknowledged, and others are on their way
	proxy.Shut()
	enter(1000, 2000)
	require.NoError(t, r.stdin.Close())
	r.ends(statusUnacked)

	rest, err := os.ReadFile(file)
	require.NoError(t, err)
	acknowledged := strings.Count(r.out.String(), "\n")
	assert.GreaterOrEqual(t, acknowledged, 10)
	lines := strings.SplitAfter(input, "\n")
	assert.Equal(t, strings.Join(lines[acknowledged:], ""), string(rest))
	assert.Regexp(t, fmt.Sprintf(`^conch: pub: not acknowledged: %d messages, in %s; the first because: .*connection 0: `,
		2000-acknowledged, file), r.err.String())
}

// refuser is a server that greets, and then answers each publish with an error.
func refuser(t *testing.T) (address string) {
	t.Helper()
	s := harness.Start(t, server.Options{})
	c := s.Dial(t)
	c.Send("ACL SETUSER default resetchannels &ok\n")
	c.Expect("+OK\r\n")
	return s.Addr
}

func TestPubIsRefused(t *testing.T) {
	const noPermission = "NOPERM No permissions to access a channel"
	address := refuser(t)
	r := begin(t, address, "pub", "ok", "hi")
	r.ends(statusOK)

	r = begin(t, address, "pub", "news", "hi")
	r.ends(statusUnacked)
	assert.Equal(t, "hi\nconch: pub: not acknowledged: 1 message, written above; the first because: "+noPermission+"\n", r.err.String())
	assert.Equal(t, "published 0 messages, 0 receivers\n", r.out.String())

	file := filepath.Join(t.TempDir(), "rest")
	r = begin(t, address, "pub", "--unacked", file, "news")
	r.enter("one\ntwo\n")
	r.enter("three\n") // the first one is refused before or after that is read
	require.NoError(t, r.stdin.Close())
	r.ends(statusUnacked)
	rest, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "one\ntwo\nthree\n", string(rest))
	assert.Equal(t, "conch: pub: not acknowledged: 3 messages, in "+file+"; the first because: "+noPermission+"\n", r.err.String())
}

// If nothing can be published, the file has the whole input, and the writer of the pipe is not blocked.
func TestPubWhenThereIsNoConnection(t *testing.T) {
	locked := harness.Start(t, server.Options{})
	c := locked.Dial(t)
	c.Send("ACL SETUSER default >secret\n")
	c.Expect("+OK\r\n")
	input := strings.Repeat("line\n", 100_000) + "last without end"
	for _, test := range []struct{ address, why string }{
		{"127.0.0.1:1", "no server listens on 127.0.0.1:1; start one, or give its address with --url"},
		{locked.Addr, ".*\\(NOAUTH\\).*"},
	} {
		file := filepath.Join(t.TempDir(), "rest")
		r := begin(t, test.address, "pub", "--unacked", file, "news")
		go func() {
			_, _ = io.WriteString(r.stdin, input)
			_ = r.stdin.Close()
		}()
		r.ends(statusFailure)
		assert.Regexp(t, "^conch: pub: .*"+test.why+"; not published: 100001 messages, in "+file+"\n$", r.err.String())
		assert.Empty(t, r.out.String())
		rest, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.True(t, input+"\n" == string(rest)) //nolint:testifylint // the difference would be half a megabyte

		file += "-of-one"
		begin(t, test.address, "pub", "--unacked", file, "news", "hi").ends(statusFailure)
		rest, err = os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, "hi\n", string(rest))
	}
}

// After a signal in that state, the error has the number of messages in the file.
func TestPubIsInterruptedWithoutAConnection(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rest")
	r := begin(t, "127.0.0.1:1", "pub", "--unacked", file, "news")
	r.enter("%s", strings.Repeat("line\n", 10_000))
	harness.Eventually(t, func() bool {
		info, err := os.Stat(file)
		return err == nil && info.Size() > 0
	}, "nothing is written")
	r.signals <- syscall.SIGINT
	r.ends(statusFailure)
	rest, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, r.err.String(), fmt.Sprintf("; not published: %d messages, in ", strings.Count(string(rest), "\n")))
}

func TestPubRemovesAnEmptyFile(t *testing.T) {
	s := harness.Start(t, server.Options{})
	for address, status := range map[string]int{s.Addr: statusOK, "127.0.0.1:1": statusFailure} {
		file := filepath.Join(t.TempDir(), "rest")
		r := begin(t, address, "pub", "--unacked", file, "news")
		require.NoError(t, r.stdin.Close())
		r.ends(status)
		assert.NoFileExists(t, file)
	}
}

func TestPubEndsByASignal(t *testing.T) {
	s := harness.Start(t, server.Options{})
	r := begin(t, s.Addr, "pub", "--json", "news")
	r.enter("one\n")
	r.out.await(t, `"sequence":1}`) // printed at once, though the input goes on
	r.signals <- syscall.SIGINT
	r.ends(130)
	assert.Empty(t, r.err.String())
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

func TestPubWhenTheInputFails(t *testing.T) {
	s := harness.Start(t, server.Options{})
	var out, stderr bytes.Buffer
	input := io.MultiReader(strings.NewReader("one\n"), brokenReader{})
	status := run([]string{"conch", "pub", "-u", s.Addr, "news"}, nothing, input, &out, &stderr, nil)
	assert.Equal(t, statusFailure, status)
	assert.Equal(t, "published 1 message, 0 receivers\n", out.String())
	assert.Equal(t, "conch: pub: cannot read the standard input: nobody reads\n", stderr.String())
}

// With a file, even half a line that was read is not lost.
func TestPubKeepsInputThatWasRead(t *testing.T) {
	s := harness.Start(t, server.Options{})
	long := strings.Repeat("x", 40)
	for _, test := range []struct {
		input io.Reader
		rest  string
		want  string
	}{
		{
			strings.NewReader("one\n" + long + "\ntwo"), long + "\ntwo",
			"2 messages, in FILE; the first because: a line is too long for a message: more than 30 bytes",
		},
		{
			io.MultiReader(strings.NewReader("one\ntw"), brokenReader{}), "tw",
			"1 message, in FILE; the first because: cannot read the standard input: nobody reads",
		},
		{
			io.MultiReader(strings.NewReader("one\n"+long), brokenReader{}), long,
			"1 message, in FILE, but cannot read the standard input: nobody reads; the first because: a line is too long for a message: more than 30 bytes",
		},
	} {
		var out, stderr bytes.Buffer
		file := filepath.Join(t.TempDir(), "rest")
		o := &pubOptions{serverFlags: serverFlags{url: s.Addr}, topic: "news", connections: 1, maxLine: 30, unacked: file}
		err := o.execute(t.Context(), &Env{Stdin: test.input, Stdout: &out, Stderr: &stderr})
		assert.Equal(t, statusUnacked, report(err, &stderr))
		assert.Equal(t, "published 1 message, 0 receivers\n", out.String())
		assert.Equal(t, "conch: pub: not acknowledged: "+strings.ReplaceAll(test.want, "FILE", file)+"\n", stderr.String())
		rest, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, test.rest, string(rest))
	}
}

// Standard error gets the beginning of a line that the server refuses for its length, and its length. A file has it whole.
func TestPubCutsALongLineOnStandardError(t *testing.T) {
	s := harness.Start(t, server.Options{Limits: protocol.Limits{Message: 100 << 10}})
	long := strings.Repeat("x", 200<<10)
	var out, stderr bytes.Buffer
	assert.Equal(t, statusUnacked, run([]string{"conch", "pub", "-u", s.Addr, "news"}, nothing, strings.NewReader(long), &out, &stderr, nil))
	line, rest, _ := strings.Cut(stderr.String(), "\n")
	assert.Equal(t, long[:64<<10]+"... (204800 bytes)", line)
	assert.Contains(t, rest, "1 message, written above, long lines cut (--unacked FILE keeps them whole); the rest of the input is not read; ")

	file := filepath.Join(t.TempDir(), "rest")
	assert.Equal(t, statusUnacked, run([]string{"conch", "pub", "-u", s.Addr, "--unacked", file, "news"}, nothing, strings.NewReader(long), &out, &stderr, nil))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, long+"\n", string(text))
}

// A closed pipe on standard output does not end publishing.
func TestPubGoesOnWithoutAReader(t *testing.T) {
	s := harness.Start(t, server.Options{})
	from, to := io.Pipe()
	require.NoError(t, from.Close())
	var stderr bytes.Buffer
	input := strings.NewReader(strings.Repeat("line\n", 5000))
	assert.Equal(t, statusOK, run([]string{"conch", "pub", "-j", "-u", s.Addr, "news"}, nothing, input, to, &stderr, nil))
	assert.Empty(t, stderr.String())
	assert.Equal(t, 5000, s.Info(t, "messages_published"))
}
