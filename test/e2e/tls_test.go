//go:build e2e

package e2e

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// secure is a conch with a TLS port, and the files around it.
type secure struct {
	*conch
	authority *harness.Authority
	folder    string
	cert, key string
	ca        string // the authority's own certificate
	tlsPort   string
}

func startSecure(t *testing.T, args ...string) *secure {
	t.Helper()
	s := &secure{authority: harness.NewAuthority(t), folder: t.TempDir()}
	s.cert, s.key = s.authority.Valid(t, "first").Write(t, s.folder)
	s.ca = filepath.Join(s.folder, "ca.crt")
	harness.WriteFile(t, s.ca, s.authority.PEM)
	args = append([]string{"--tls-listen", "127.0.0.1:0", "--tls-cert", s.cert, "--tls-key", s.key}, args...)
	for i, arg := range args {
		args[i] = strings.ReplaceAll(arg, "CA", s.ca)
	}
	s.conch = start(t, "", args...)
	var err error
	_, s.tlsPort, err = net.SplitHostPort(s.started["tls-address"].(string))
	require.NoError(t, err)
	return s
}

// client writes a client's own certificate and returns what redis-cli and openssl call it by.
func (s *secure) client(name string) (cert, key string) {
	folder := filepath.Join(s.folder, name)
	require.NoError(s.t, os.Mkdir(folder, 0o700))
	return s.authority.Valid(s.t, name).Write(s.t, folder)
}

// cli runs one redis-cli command over TLS.
func (s *secure) cli(args ...string) string {
	p := s.run("redis-cli", append([]string{"-h", "127.0.0.1", "-p", s.tlsPort, "--tls", "--cacert", s.ca}, args...)...)
	require.NoError(s.t, p.in.Close())
	return p.rest()
}

// openssl starts an s_client, in which lines can be typed, and holds that it trusts the server.
func (s *secure) openssl(args ...string) *program {
	s.t.Helper()
	args = append([]string{"-quiet", "-verify_return_error"}, args...)
	p := s.run("openssl", append([]string{"s_client", "-connect", "127.0.0.1:" + s.tlsPort, "-CAfile", s.ca}, args...)...)
	p.until("verify return:1") // the authority
	p.until("verify return:1") // the server
	return p
}

func TestTLSWithRealClients(t *testing.T) {
	s := startSecure(t)
	person := s.openssl("-tls1_2")
	person.enter("SUB news")
	assert.Equal(t, "OK SUB news", person.line())
	assert.Equal(t, "1\n", s.cli("PUBLISH", "news", "from a program"))
	assert.Equal(t, "UPDATE news from a program", person.line())
	assert.Equal(t, "1\n", s.conch.cli("PUBLISH", "news", "from the plain port"))
	assert.Equal(t, "UPDATE news from the plain port", person.line())
	assert.Contains(t, s.cli("-3", "CLIENT", "LIST"), "resp=3")

	listener := s.run("redis-cli", "-h", "127.0.0.1", "-p", s.tlsPort, "--tls", "--cacert", s.ca, "SUBSCRIBE", "news")
	listener.until("subscribe")
	listener.until("1")
	person.enter("PUB news typed by a person")
	assert.Equal(t, "OK PUB news", person.line())
	assert.Equal(t, "UPDATE news typed by a person", person.line())
	listener.until("message")
	assert.Equal(t, []string{"news", "typed by a person"}, []string{listener.line(), listener.line()})
	s.stop()
	assert.Empty(t, person.rest(), "it has nothing to complain of")
}

// A peer may change its keys at any time, and then wants an answer though conch has nothing to say: long after the last
// write, whose deadline has passed.
func TestAPeerThatChangesItsKeys(t *testing.T) {
	s := startSecure(t, "--slow-time", "50ms")
	person := s.run("openssl", "s_client", "-connect", "127.0.0.1:"+s.tlsPort, "-CAfile", s.ca, "-tls1_3") // it talks a lot
	person.enter("SUB news")
	person.until("OK SUB news")
	late := time.NewTimer(200 * time.Millisecond)
	<-late.C
	person.enter("K") // a word of s_client: new keys, for both sides
	person.until("KEYUPDATE")
	person.enter("PUB news still here")
	person.until("OK PUB news")
	person.until("UPDATE news still here")
	s.stop()
}

func TestTLSWithGoRedis(t *testing.T) {
	s := startSecure(t)
	program := filepath.Join(t.TempDir(), "goredis")
	build := exec.Command("go", "build", "-o", program, "./goredis")
	build.Dir = "../compat/go"
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, protocol := range []string{"RESP2", "RESP3"} {
		command := exec.Command(program, "127.0.0.1", s.tlsPort, protocol)
		command.Env = append(os.Environ(), "CONCH=1", "CONCH_TLS_CA="+s.ca)
		out, err := command.Output()
		assert.NoError(t, err, "%s", out)
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		var report struct{ OK bool }
		require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &report))
		assert.True(t, report.OK, "%s", out)
	}
	s.stop()
}

func TestClientCertificatesOfRealClients(t *testing.T) {
	s := startSecure(t, "--tls-client-ca", "CA", "--tls-user", "--log-level", "debug")
	cert, key := s.client("alice")
	assert.Equal(t, "PONG\n", s.cli("--cert", cert, "--key", key, "PING"))
	assert.Equal(t, "alice", s.awaitLog("certificate_name")["certificate_name"])
	person := s.openssl("-cert", cert, "-key", key)
	person.enter("PUB a b")
	assert.Equal(t, "OK PUB a", person.line())

	assert.NotContains(t, s.cli("PING"), "PONG")
	for {
		if line := s.awaitLog("error"); line["level"] == "warn" {
			assert.Contains(t, line["error"], "client didn't provide a certificate")
			break
		}
	}
	s.stop()
}

// The files are replaced by renaming; nobody has to be asked, and nobody is dropped.
func TestANewCertificateIsNoticed(t *testing.T) {
	s := startSecure(t)
	person := s.openssl()
	person.enter("SUB a")
	assert.Equal(t, "OK SUB a", person.line())
	assert.Equal(t, "first", s.certificate())

	s.authority.Valid(t, "second").Write(t, s.folder)
	for s.awaitLog("message")["certificate"] != "CN=second" {
	}
	assert.Equal(t, "second", s.certificate())

	s.authority.Issue(t, "third", time.Now().Add(-time.Hour)).Write(t, s.folder)
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGHUP))
	for {
		if line := s.awaitLog("certificate"); line["certificate"] == "CN=third" && line["level"] == "warn" {
			assert.Contains(t, line["message"], "has expired")
			break
		}
	}
	assert.Equal(t, "third", s.certificate(), "it is served all the same")

	assert.Equal(t, "1\n", s.conch.cli("PUBLISH", "a", "still here"))
	assert.Equal(t, "UPDATE a still here", person.line())
	s.stop()
}

// certificate is the name in the certificate that a new connection gets.
func (s *secure) certificate() string {
	s.t.Helper()
	c, err := tls.Dial("tcp", "127.0.0.1:"+s.tlsPort, &tls.Config{InsecureSkipVerify: true}) // it looks, and trusts nobody
	require.NoError(s.t, err)
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestPlainClientsOnTheTLSPort(t *testing.T) {
	s := startSecure(t)
	p := s.run("nc", "127.0.0.1", s.tlsPort)
	p.enter("SUB news")
	assert.Equal(t, "-ERR this port speaks TLS: connect with TLS (redis-cli --tls, openssl s_client), or to a port without it", p.line())
	require.NoError(t, p.in.Close())
	assert.Empty(t, p.rest())
	cli := s.run("redis-cli", "-h", "127.0.0.1", "-p", s.tlsPort, "PING")
	assert.Contains(t, cli.rest(), "this port speaks TLS")
	for s.awaitLog("message")["message"] != "a client without TLS connected to the TLS port" {
	}
	s.stop()
}

func TestAKeyThatOthersCanReadIsRefused(t *testing.T) {
	folder := t.TempDir()
	cert, key := harness.NewAuthority(t).Valid(t, "conch").Write(t, folder)
	require.NoError(t, os.Chmod(key, 0o644))
	out, err := exec.Command(binary, "127.0.0.1:0", "--tls-listen=127.0.0.1:0", "--tls-cert", cert, "--tls-key", key).CombinedOutput()
	assert.Error(t, err)
	assert.Equal(t, "conch: tls-key "+key+": it can be read by others than its owner (mode 0644): set mode 0600 (chmod 600)\n", string(out))
}
