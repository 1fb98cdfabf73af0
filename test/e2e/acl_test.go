//go:build e2e

package e2e

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// conch and a real redis-server let the same users do the same, and say so in the same words, but for what this list
// allows. The reference is Debian's 7.0, conch follows 7.2.
//
//   - 7.2 says who may not ("User bob has no permissions"), 7.0 says "this user"; for topics they word it differently.
//   - The text about HELLO before AUTH names <proto> from 7.2 on.
//   - An entry of ACL LOG has ten fields from 7.2 on, seven before. Compared are the count, the reason, the context, the
//     object and the user.
//   - 7.0 shows granted commands in no order, 7.2 as they were granted. They are compared in one.
//   - Ids and versions.
//
// Never asked, because the answers are meant to differ: rules that 7.0 shows otherwise than 7.2 (see acl_rules_test.go),
// ACL CAT, of which conch knows fewer commands, CONFIG GET requirepass, which conch does not know, a password to be taken
// away that is not there, whose rule conch quotes as a digest, and ACL LOAD and SAVE inside MULTI.
var aclScript = strings.TrimSpace(`
a ACL SETUSER default sanitize-payload
a ACL SETUSER bob on sanitize-payload >sesame resetchannels &news* &side -@all +publish +subscribe +psubscribe +ping +multi +exec +client|id
a ACL SETUSER off off sanitize-payload >sesame allchannels +@all
a ACL SETUSER free on sanitize-payload nopass allchannels +@all
a ACL USERS
a ACL LIST
a ACL GETUSER bob
a ACL GETUSER nobody
a ACL WHOAMI
a ACL SETUSER bob +nosuch
a ACL SETUSER bob (+get
a ACL SETUSER bob #short
a ACL SETUSER
a ACL NOSUCH
a ACL
a ACL GENPASS 0
a ACL GENPASS x
a ACL GENPASS 1 2
a ACL CAT nosuch
a ACL CAT a b
a ACL DRYRUN bob PUBLISH news hi
a ACL DRYRUN bob PUBLISH other hi
a ACL DRYRUN bob INFO
a ACL DRYRUN bob CLIENT KILL x
a ACL DRYRUN bob CLIENT ID
a ACL DRYRUN bob PUBLISH
a ACL DRYRUN bob NOSUCH
a ACL DRYRUN bob CLIENT NOSUCH
a ACL DRYRUN nobody PING
a ACL LOAD
a ACL SAVE
a ACL LOG RESET
b AUTH bob wrong
b AUTH nobody sesame
b AUTH off sesame
b AUTH sesame
b AUTH a b c
b AUTH
b HELLO 2 AUTH bob wrong
b HELLO 2 AUTH bob
b AUTH bob sesame
b ACL WHOAMI
b PING
b NOSUCH
b PUBLISH
b PUBLISH news hi
b PUBLISH other hi
b SUBSCRIBE other news
b PSUBSCRIBE *
b PSUBSCRIBE other*
b CLIENT ID x
b CLIENT LIST
b CLIENT NOSUCH
b CONFIG GET save
b MULTI
b PUBLISH news hi
b PUBLISH other hi
b EXEC
b MULTI
b INFO
b EXEC
b MULTI
b PUBLISH news hi
a ACL SETUSER bob -publish
b EXEC
a ACL SETUSER bob +publish resetchannels &side
b MULTI
b PUBLISH side hi
a ACL SETUSER bob resetchannels
b EXEC
a ACL SETUSER bob -exec
b MULTI
b EXEC
b RESET
b ACL WHOAMI
b AUTH free anything
b ACL WHOAMI
a ACL LOG 100
a ACL LOG 1
a ACL LOG 0
a ACL LOG x
a ACL LOG 1 2
a ACL LOG RESET
a ACL LOG
a CLIENT KILL USER nobody
a ACL DELUSER default
a ACL DELUSER nobody
a ACL DELUSER off bob nobody
a CONFIG SET requirepass sesame
a PING
a ACL WHOAMI
c PING
c NOSUCH
c PUBLISH
c MULTI
c EXEC
c SUBSCRIBE a
c HELLO
c HELLO 4
c HELLO x
c AUTH wrong
c AUTH default wrong
c AUTH sesame
c PING
c RESET
c PING
c AUTH default sesame
c PING
a CONFIG SET requirepass ""
d PING
d ACL WHOAMI
`)

func TestUsersAsInRedis(t *testing.T) {
	for _, version := range []string{"2", "3"} {
		t.Run("RESP"+version, func(t *testing.T) {
			redis := startRedis(t)
			c := start(t, "")
			want := played(t, redis.address, version)
			got := played(t, net.JoinHostPort(c.host, c.port), version)
			for i, line := range strings.Split(aclScript, "\n") {
				assert.Equal(t, want[i], got[i], line)
			}
			c.stop()
		})
	}
}

// played sends the script, a connection for each letter, and returns the answers.
func played(t *testing.T, address, version string) (answers []string) {
	t.Helper()
	conns := make(map[string]*aclConn)
	for line := range strings.SplitSeq(aclScript, "\n") {
		words := strings.Fields(strings.ReplaceAll(line, `""`, "\x00"))
		c := conns[words[0]]
		if c == nil {
			c = dialACL(t, address)
			conns[words[0]] = c
			if version == "3" && words[0] < "c" { // the others are asked who they are first
				c.ask("HELLO", "3")
			}
		}
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "\x00", "")
		}
		if version == "3" && words[1] == "HELLO" && len(words) > 2 && words[2] == "2" {
			words[2] = "3"
		}
		answers = append(answers, as72(c.ask(words[1:]...)))
	}
	return answers
}

type aclConn struct {
	t    *testing.T
	sock net.Conn
	in   *bufio.Reader
}

func dialACL(t *testing.T, address string) *aclConn {
	t.Helper()
	sock, err := net.Dial("tcp", address)
	require.NoError(t, err)
	c := harness.Use(t, sock)
	return &aclConn{t, c, bufio.NewReader(c)}
}

// ask returns the answer to a command, one value with all that is in it.
func (c *aclConn) ask(words ...string) string {
	c.t.Helper()
	_, err := c.sock.Write([]byte(command{words: words}.encode(nil)))
	require.NoError(c.t, err)
	var answer strings.Builder
	for values := 1; values > 0; values-- {
		token, err := readToken(c.in)
		require.NoError(c.t, err, "%q, after %q", words, answer.String())
		answer.WriteString(token)
		n, _ := strconv.Atoi(strings.TrimSpace(token[1:]))
		switch {
		case n < 0:
		case token[0] == '*' || token[0] == '~':
			values += n
		case token[0] == '%':
			values += 2 * n
		}
	}
	return answer.String()
}

var (
	logEntry = regexp.MustCompile(`count\r\n(:\d+)\r\n.*\r\n.*\r\n.*\r\n(.*)\r\n.*\r\n.*\r\n.*\r\n(.*)\r\n.*\r\n.*\r\n.*\r\n(.*)\r\n.*\r\n.*\r\n.*\r\n(.*)\r\n`)
	ofUser   = regexp.MustCompile(`(?:this user|This user|User \S+) has no permissions to (run|access the)`)
	granted  = regexp.MustCompile(`(?: \+[a-z|]+){2,}`)
	ownParts = regexp.MustCompile(`(version\r\n)\$\d+\r\n[^\r]*|(id\r\n:)\d+`)
)

// as72 puts an answer of 7.0 into the words of 7.2, and takes away what differs from run to run.
func as72(answer string) string {
	if entries := logEntry.FindAllStringSubmatch(answer, -1); entries != nil {
		var b strings.Builder
		for _, e := range entries {
			b.WriteString(strings.Join(e[1:], " ") + "\n")
		}
		return b.String()
	}
	answer = strings.ReplaceAll(answer, "this user has no permissions to access one of the channels used as arguments",
		"No permissions to access a channel")
	answer = strings.ReplaceAll(answer, "the HELLO AUTH", "the HELLO <proto> AUTH")
	answer = granted.ReplaceAllStringFunc(answer, func(rules string) string {
		words := strings.Fields(rules)
		slices.Sort(words)
		return " " + strings.Join(words, " ")
	})
	answer = ownParts.ReplaceAllString(answer, "$1${2}N")
	if ofUser.MatchString(answer) && answer[0] == '$' {
		_, answer, _ = strings.Cut(answer, "\r\n") // DRYRUN: its length differs as the name does
	}
	return ofUser.ReplaceAllString(answer, "X has no permissions to $1")
}

// What is wrong with the file at the start is one line that says what to do, and the end.
func TestAWrongACLFileKeepsConchFromStarting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.acl")
	run := func(path string) (line string, status int) {
		cmd := exec.Command(binary, "127.0.0.1:0", "--aclfile", path, "--log-format", "json")
		out, _ := cmd.CombinedOutput() // the status is looked at below
		return string(out), cmd.ProcessState.ExitCode()
	}
	line, status := run(path)
	assert.Equal(t, "conch: ACL file "+path+" cannot be read: no such file or directory; create it; it may be empty\n", line)
	assert.Equal(t, 1, status)
	require.NoError(t, os.WriteFile(path, []byte("user bob on\nuser eve +nosuch\n"), 0o600))
	line, status = run(path)
	assert.Equal(t, "conch: ACL file cannot be used: "+path+":2: '+nosuch': Unknown command or category name in ACL\n", line)
	assert.Equal(t, 1, status)
}

// The password of the flag and of the environment is in none of what conch says, and redis-cli comes in with it.
func TestRequirepassWithRedisCLI(t *testing.T) {
	c := start(t, "export CONCH_REQUIREPASS=Sesame", "--log-level", "trace")
	cli := func(args ...string) string {
		cmd := exec.Command("redis-cli", append([]string{"-h", c.host, "-p", c.port}, args...)...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return strings.TrimSpace(string(out))
	}
	assert.Equal(t, "NOAUTH Authentication required.", cli("PING"))
	assert.Equal(t, "PONG", cli("--no-auth-warning", "-a", "Sesame", "PING"))
	assert.Equal(t, "default", cli("-3", "--no-auth-warning", "--user", "default", "-a", "Sesame", "ACL", "WHOAMI"))
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	commands := 0
	for entry := range c.log {
		assert.NotContains(t, entry["raw"], "Sesame")
		if entry["command"] != nil {
			commands++
		}
	}
	require.NoError(t, c.cmd.Wait())
	assert.Positive(t, commands, "commands are in the log at trace")
}

// An ACL file of either is one of the other: the same lines are taken, the same line is refused, and what conch saves
// Redis loads.
func TestACLFilesAsInRedis(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.acl")
	write := func(lines ...string) {
		require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	}
	const good = "user bob on sanitize-payload #" + "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272" +
		" ~cache:* resetchannels &news* -@all +publish +get (~k resetchannels -@all +set)"
	write(good, "user default on nopass sanitize-payload ~* &* +@all")
	redis := dialACL(t, startRedis(t, "--aclfile", path).address)
	c := start(t, "", "--aclfile", path)
	conch := dialACL(t, net.JoinHostPort(c.host, c.port))
	both := func(words ...string) {
		t.Helper()
		assert.Equal(t, as72(redis.ask(words...)), as72(conch.ask(words...)), "%q", words)
	}
	both("ACL", "LIST")
	for _, wrong := range []string{
		"user zoe on +nosuch", "users zoe", "user zoe on #short", "user bob on", "user default on nopass allkeys ~more",
	} {
		write(good, wrong)
		for _, c := range []*aclConn{redis, conch} { // Redis names the word only sometimes
			answer := c.ask("ACL", "LOAD")
			assert.Regexp(t, `^-ERR .*(:2\b|line 2\b).* no change to the previously active ACL rules was performed\r\n$`, answer)
		}
		both("ACL", "LIST")
	}
	require.Equal(t, "+OK\r\n", conch.ask("ACL", "SETUSER", "carol", "on", "sanitize-payload", ">sesame", "resetchannels", "&a", "+publish"))
	require.Equal(t, "+OK\r\n", conch.ask("ACL", "SAVE"))
	both("ACL", "LOAD")
	both("ACL", "LIST")
	c.stop()
}
