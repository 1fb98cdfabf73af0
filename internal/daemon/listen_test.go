package daemon

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

const certificateLoaded = "the TLS certificate is loaded"

// dialTLS connects to the TLS port, and returns the common name of the certificate too.
func (p *process) dialTLS(a *harness.Authority) (c net.Conn, certificate string) {
	p.t.Helper()
	address, ok := p.First["tls-address"].(string)
	require.True(p.t, ok, "no TLS port in %v", p.First)
	sock, err := tls.Dial("tcp", address, &tls.Config{RootCAs: a.Pool(), ServerName: "localhost"})
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = sock.Close() })
	return sock, sock.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestSIGHUPReloadsTheTLSFilesAndKeepsConnections(t *testing.T) {
	a, folder := harness.NewAuthority(t), t.TempDir()
	cert, key := a.Valid(t, "first").Write(t, folder)
	p := start(t, "--tls-listen=127.0.0.1:0", "--tls-cert="+cert, "--tls-key="+key)
	assert.Equal(t, "CN=first", p.Log.Await(t, certificateLoaded, 1)["certificate"])
	old, name := p.dialTLS(a)
	assert.Equal(t, "first", name)
	p.Request(old, "SUB a\n", "OK SUB a\n")

	a.Valid(t, "second").Write(t, folder)
	p.Signals <- reloadSignal
	p.Log.Await(t, reloading, 1)
	harness.Eventually(t, func() bool { _, name := p.dialTLS(a); return name == "second" }, "the new one is not served")
	c, _ := p.dialTLS(a)
	p.Request(c, "PUB a still here\n", "OK PUB a\n")
	p.Request(old, "", "UPDATE a still here\n")

	require.NoError(t, os.Chmod(key, 0o640))
	p.Signals <- reloadSignal
	line := p.Log.Await(t, "the TLS files cannot be used; what was loaded before stays in force", 1)
	assert.Contains(t, line["error"], "set mode 0600")
	_, name = p.dialTLS(a)
	assert.Equal(t, "second", name)
}

func TestSIGHUPWithoutTLSEndsNothing(t *testing.T) {
	p := start(t)
	p.Signals <- reloadSignal
	p.Log.Await(t, reloading, 1)
	p.Request(p.Dial(), "PING\n", "+PONG\r\n")
}

func TestTheLogNamesFilesAndNoKey(t *testing.T) {
	a, folder := harness.NewAuthority(t), t.TempDir()
	pair := a.Valid(t, "conch")
	cert, key := pair.Write(t, folder)
	p := start(t, "--tls-listen=127.0.0.1:0", "--tls-cert="+cert, "--tls-key="+key, "--log-level=trace")
	assert.Equal(t, key, p.Log.Await(t, "settings", 1)["tls-key"])
	c, _ := p.dialTLS(a)
	p.Request(c, "PING\n", "+PONG\r\n")
	assert.NotContains(t, p.Log.Text(), strings.Split(string(pair.Key), "\n")[1])
}

// One listener is enough, whichever it is.
func TestWithoutThePlainPort(t *testing.T) {
	path := t.TempDir() + "/conch.sock"
	log, signals, ended := harness.NewLog(), make(chan os.Signal, 1), make(chan error)
	c := load(t, "--listen=none", "--unix-socket="+path, "--unix-mode=600")
	go func() { ended <- Serve(c, log, signals) }()
	first := log.Await(t, "listening", 1)
	assert.Equal(t, path, first["unix-socket"])
	assert.NotContains(t, first, "address")
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	sock, err := net.Dial("unix", path)
	require.NoError(t, err)
	harness.Use(t, sock).Fence()
	signals <- os.Interrupt
	assert.NoError(t, <-ended)
	assert.NoFileExists(t, path)
}

// An address that cannot be opened is an error of one line, and leaves no file.
func TestWhatCannotBeListenedOn(t *testing.T) {
	folder := t.TempDir()
	cert, key := harness.NewAuthority(t).Valid(t, "conch").Write(t, folder)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	path := folder + "/conch.sock"
	for _, c := range []struct{ args, want string }{
		{
			"--tls-listen=127.0.0.1:0 --tls-cert=" + folder + "/none --tls-key=" + key,
			"tls-cert " + folder + "/none: no such file or directory",
		},
		{
			"--tls-listen=" + taken.Addr().String() + " --tls-cert=" + cert + " --tls-key=" + key,
			"cannot listen on " + taken.Addr().String() + ": address already in use; another conch (or another program) has it; " +
				"choose another address, e.g. conch --tls-listen " + suggestAddress(taken.Addr().String()),
		},
		{
			"--unix-socket=" + folder,
			"cannot listen on the Unix socket " + folder + ": something else is there, which conch does not replace; " +
				"remove it or choose another path",
		},
	} {
		flags := append([]string{"--listen=127.0.0.1:0"}, strings.Fields(c.args)...)
		assert.EqualError(t, Serve(load(t, flags...), io.Discard, nil), c.want)
	}

	refused := load(t, "--listen=127.0.0.1:0", "--unix-socket="+path)
	refused.Server.SlowSoft = refused.Server.SlowHard + 1
	var options *OptionsError
	assert.ErrorAs(t, Serve(refused, io.Discard, nil), &options)
	assert.NoFileExists(t, path)
}
