package daemon

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/faulty"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/log"
)

const logIsOpen = "the log is open"

// Streams of a directory are there after a stop. The sequence goes on, and positions of the start before are found.
func TestStreamsSurviveARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	p := start(t, "--dir="+dir, "--fsync=always", "--recent=1MiB")
	c := harness.Use(t, p.Dial())
	c.Send("SEQ ON\n")
	epoch := strings.Fields(c.Line())[3]
	c.Send("XADD a 1-1 n one\nXADD a 1-2 n two\nPUB news hi\n")
	c.Expect("$3\r\n1-1\r\n$3\r\n1-2\r\nOK PUB news #3\n")
	p.Signals <- syscall.SIGTERM
	require.NoError(t, p.wait())
	require.NoError(t, c.Close())

	p = start(t, "--dir="+dir, "--fsync=always", "--recent=1MiB")
	line := p.Log.Await(t, logIsOpen, 1)
	assert.Equal(t, dir, line["dir"])
	assert.Equal(t, true, line["clean"])
	assert.InDelta(t, 1, line["streams"], 0)
	c = harness.Use(t, p.Dial())
	c.Send("XRANGE a - +\n")
	c.Expect("*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nn\r\n$3\r\none\r\n*2\r\n$3\r\n1-2\r\n*2\r\n$1\r\nn\r\n$3\r\ntwo\r\n")
	c.Send("SUB news FROM %s-4\nSUB other FROM %s-3\n", epoch, epoch)
	c.Expect("OK SUB news\nOK SUB other\nMISSED ? other\n")
	c.Send("PUB news live\n")
	c.Expect("OK PUB news\nUPDATE news live\n")
	c.Send("INFO\n")
	frame, err := c.Frame()
	require.NoError(t, err)
	for _, field := range []string{"\r\nsequence:4\r\n", "\r\naof_enabled:1\r\n", "\r\nlog_state:ok\r\n", "\r\nlog_fsync:always\r\n", "\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n"} {
		assert.Contains(t, string(frame), field)
	}
}

// The mean time to live is that of the keys that have one.
func TestKeyspace(t *testing.T) {
	p := start(t)
	c := harness.Use(t, p.Dial())
	keyspace := func() string {
		c.Send("INFO keyspace\n")
		frame, err := c.Frame()
		require.NoError(t, err)
		return string(frame)
	}
	assert.NotContains(t, keyspace(), "db0")
	for _, key := range []string{"a", "b", "c"} {
		c.Send("XADD %s 1-1 n 1\n", key)
		c.Expect("$3\r\n1-1\r\n")
	}
	assert.Contains(t, keyspace(), "db0:keys=3,expires=0,avg_ttl=0\r\n")
	c.Send("EXPIRE a 1000000\nEXPIRE b 3000000\n")
	c.Expect(":1\r\n:1\r\n")
	assert.Regexp(t, `db0:keys=3,expires=2,avg_ttl=(2000000000|1999[0-9]{6})\r\n`, keyspace())
	c.Send("EXPIRE a 5000000\nPERSIST b\n")
	c.Expect(":1\r\n:1\r\n")
	assert.Regexp(t, `db0:keys=3,expires=1,avg_ttl=(5000000000|4999[0-9]{6})\r\n`, keyspace())
	c.Send("DEL a\n")
	c.Expect(":1\r\n")
	assert.Contains(t, keyspace(), "db0:keys=2,expires=0,avg_ttl=0\r\n")
}

// A setting that is state is written by the first start that gives it. Later, the directory keeps what CONFIG SET has made of it.
func TestADirectoryKeepsItsSettings(t *testing.T) {
	const kept = "the directory keeps another value of this setting, which stays in force: CONFIG SET changes it"
	dir := filepath.Join(t.TempDir(), "log")
	life := func(flags []string, overruled int, script func(c *harness.Conn)) {
		p := start(t, append([]string{"--dir=" + dir}, flags...)...)
		p.Log.Await(t, logIsOpen, 1)
		assert.Equal(t, overruled, strings.Count(p.Log.Text(), kept))
		c := harness.Use(t, p.Dial())
		script(c)
		p.Signals <- syscall.SIGTERM
		require.NoError(t, p.wait())
		require.NoError(t, c.Close())
	}
	inForce := func(c *harness.Conn, value string) {
		c.Send("CONFIG GET stream-idmp-duration\n")
		c.Expect(fmt.Sprintf("*2\r\n$20\r\nstream-idmp-duration\r\n$%d\r\n%s\r\n", len(value), value))
	}
	life(nil, 0, func(c *harness.Conn) { inForce(c, "100") })
	five, six := []string{"--stream-idmp-duration=5"}, []string{"--stream-idmp-duration=6"}
	life(five, 0, func(c *harness.Conn) { inForce(c, "5") })
	life(nil, 0, func(c *harness.Conn) { inForce(c, "5") })
	life(six, 1, func(c *harness.Conn) {
		inForce(c, "5")
		c.Send("CONFIG SET stream-idmp-duration 6\n")
		c.Expect("+OK\r\n")
	})
	life(six, 0, func(c *harness.Conn) { inForce(c, "6") })
}

// Without a directory, streams are in memory, and gone with conch.
func TestStreamsInMemory(t *testing.T) {
	p := start(t, "--stream-memory=1MiB")
	c := harness.Use(t, p.Dial())
	c.Send("XADD a 1-1 n %s\nINFO persistence\n", strings.Repeat("x", 1000))
	c.Expect("$3\r\n1-1\r\n")
	frame, err := c.Frame()
	require.NoError(t, err)
	assert.Contains(t, string(frame), "\r\naof_enabled:0\r\n")
	assert.Contains(t, string(frame), "\r\nstream_memory_limit:1048576\r\n")
	refused := false
	for range 2000 {
		c.Send("XADD a * n %s\n", strings.Repeat("x", 1000))
		if frame, err := c.Frame(); !assert.NoError(t, err) || frame[0] == '-' {
			assert.Equal(t, "-OOM command not allowed when used memory > 'maxmemory'.\r\n", string(frame))
			refused = true
			break
		}
	}
	assert.True(t, refused)
	c.Send("PUB news hi\n")
	c.Expect("OK PUB news\n")
}

// A directory that cannot be used is an error of one line, and leaves nothing open.
func TestADirectoryThatCannotBeUsed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	start(t, "--dir="+dir)
	assert.EqualError(t, Serve(load(t, "--listen=127.0.0.1:0", "--dir="+dir), io.Discard, nil),
		"the directory "+dir+" is in use by another conch; give each one a --dir of its own")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	assert.EqualError(t, Serve(load(t, "--listen=127.0.0.1:0", "--dir="+file), io.Discard, nil),
		"the directory "+file+" cannot be used: it is, or is in, something else")
}

// An optional directory that cannot be written is a warning, and streams are in memory. Other errors stay errors.
func TestAnOptionalDirectory(t *testing.T) {
	const readOnly = "/sys/conch" // nor can root make a folder there
	assert.ErrorContains(t, Serve(load(t, "--listen=127.0.0.1:0", "--dir="+readOnly), io.Discard, nil), "the directory "+readOnly+" cannot be used: ")
	p := start(t, "--dir="+readOnly, "--dir-optional=true")
	line := p.Log.Await(t, "streams are in memory, and gone at the end: dir cannot be written, and dir-optional is set", 1)
	assert.Equal(t, "warn", line["level"])
	assert.Contains(t, line["error"], "the directory "+readOnly+" cannot be used: ")
	c := harness.Use(t, p.Dial())
	c.Send("XADD a 1-1 n one\n")
	c.Expect("$3\r\n1-1\r\n")
	c.Send("INFO persistence\n")
	frame, err := c.Frame()
	require.NoError(t, err)
	assert.Contains(t, string(frame), "\r\naof_enabled:0\r\n")

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	assert.ErrorContains(t, Serve(load(t, "--listen=127.0.0.1:0", "--dir="+file, "--dir-optional=true"), io.Discard, nil), "is, or is in, something else")
}

// What is damaged is an error in the log, with its place; what is whole is served.
func TestDamageIsReported(t *testing.T) {
	dir, damaged := filepath.Join(t.TempDir(), "log"), filepath.Join(t.TempDir(), "copy")
	p := start(t, "--dir="+dir, "--fsync=always", "--segment-size=64KiB")
	c := harness.Use(t, p.Dial())
	for _, text := range []string{"first", "second", "third"} { // each in a record of its own
		c.Send("XADD a * n %s-entry\n", text)
		_, err := c.Frame()
		require.NoError(t, err)
	}
	require.NoError(t, faulty.CopyLive(damaged, dir))
	segments, err := filepath.Glob(filepath.Join(damaged, "*.log"))
	require.NoError(t, err)
	require.Len(t, segments, 1)
	content, err := os.ReadFile(segments[0])
	require.NoError(t, err)
	at := bytes.Index(content, []byte("second-entry"))
	require.Positive(t, at)
	content[at] ^= 1
	require.NoError(t, os.WriteFile(segments[0], content, 0o600))

	p = start(t, "--dir="+damaged)
	line := p.Log.Await(t, "the log is damaged here, and these records are lost: restore the directory from a backup", 1)
	assert.Equal(t, "error", line["level"])
	assert.Contains(t, line["file"], filepath.Base(segments[0]))
	assert.InDelta(t, at, line["offset"], 100)
	c = harness.Use(t, p.Dial())
	c.Send("XRANGE a - +\n")
	frame, err := c.Frame()
	require.NoError(t, err)
	assert.Contains(t, string(frame), "first-entry")
	assert.NotContains(t, string(frame), "second-entry")
	c.Send("INFO persistence\n")
	frame, err = c.Frame()
	require.NoError(t, err)
	assert.Contains(t, string(frame), "\r\nlog_damages:1\r\n")
}

// A failed sync is final. What waited for it ends with a reason, and what was safe is served; appends are refused, plain topics go
// on, and INFO, the log and /healthz show it.
func TestAFailedSync(t *testing.T) {
	var disk *faulty.Disk
	s := load(t, "--listen=127.0.0.1:0", "--http=127.0.0.1:0", "--dir="+filepath.Join(t.TempDir(), "log"), "--fsync=always", "--log-level=debug")
	s.Store.Wrap = func(f log.Files) log.Files { disk = faulty.NewDisk(f); return disk }
	p := &process{t: t}
	p.Process = harness.StartProcess(t, func(log *harness.Log, signals <-chan os.Signal) { p.err = Serve(s, log, signals) })
	c, other := harness.Use(t, p.Dial()), harness.Use(t, p.Dial())
	c.Send("XADD a 1-1 n safe\n")
	c.Expect("$3\r\n1-1\r\n")
	disk.Break()
	c.Send("XADD a 1-2 n lost\nPING\n")
	rest, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.NotContains(t, string(rest), "1-2", "it was never promised")
	assert.NotContains(t, string(rest), "PONG", "the order of replies stays")
	assert.Equal(t, "log_failed", p.Log.Await(t, "disconnected", 1)["reason"])
	line := p.Log.Await(t, "a write or a sync of the log has failed: nothing is appended until a restart", 1)
	assert.Contains(t, line["error"], "input/output error")

	harness.Eventually(t, func() bool {
		other.Send("XRANGE a - +\n")
		frame, err := other.Frame()
		require.NoError(t, err)
		if frame[0] == '-' { // until the state of the last sync is read
			return false
		}
		assert.Equal(t, "*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nn\r\n$4\r\nsafe\r\n", string(frame))
		return true
	}, "what is safe is not served")
	other.Send("XADD a * n x\n")
	assert.Regexp(t, "^-MISCONF Errors writing to the AOF file: .*input/output error", other.Line())
	other.Send("PUB news hi\nINFO persistence\n")
	other.Expect("OK PUB news\n")
	frame, err := other.Frame()
	require.NoError(t, err)
	assert.Contains(t, string(frame), "\r\nlog_state:failed\r\n")
	assert.Contains(t, string(frame), "\r\naof_last_write_status:err\r\n")
	response, err := http.Get("http://" + p.First["http"].(string) + "/healthz")
	require.NoError(t, err)
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	_ = response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	p.Signals <- syscall.SIGTERM
	assert.NoError(t, p.wait())
	p.Log.Await(t, "the log could not be closed: what was not synced may be lost", 1)
}

// A stop names the connections that did not read what waited for them.
func TestAStopReportsWhatWasNotRead(t *testing.T) {
	p := start(t, "--drain-timeout=10ms")
	c := harness.Use(t, p.Dial())
	text := strings.Repeat("x", 1<<20)
	for range 32 {
		c.Command("XADD", "a", "*", "n", text)
		_, err := c.Frame()
		require.NoError(t, err)
	}
	c.Send("PING\nXRANGE a - +\nXRANGE a - +\n")
	c.Expect("+PONG\r\n*32\r\n") // more than the kernel takes is on its way
	p.Signals <- syscall.SIGTERM
	require.NoError(t, p.wait())
	line := p.Log.Await(t, "these connections have not read what waited for them within drain-timeout: it is lost", 1)
	assert.EqualValues(t, 1, line["connections"]) // of its replies maybe no byte waited: the rest was not yet read from the log
}
