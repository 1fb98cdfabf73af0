package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// secureServer is a server with a plain port and a TLS port.
type secureServer struct {
	*harness.Server
	authority *harness.Authority
	config    *tls.Config
	addr      string   // of the TLS port
	log       *logText // from debug on
}

// logText is a log that a test reads while it is written.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func startTLS(t *testing.T, o server.Options, change func(*secureServer)) *secureServer {
	t.Helper()
	s := &secureServer{authority: harness.NewAuthority(t), log: &logText{}}
	s.config = &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{s.authority.Valid(t, "conch").TLS(t)},
	}
	if change != nil {
		change(s)
	}
	o.Log = zerolog.New(s.log).Level(zerolog.DebugLevel)
	s.Server = harness.Start(t, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = l.Addr().String()
	s.ServeTLS(l, s.config)
	return s
}

// dial connects with TLS; change may make the client an unusual one.
func (s *secureServer) dial(t *testing.T, change func(*tls.Config)) *harness.Conn {
	t.Helper()
	config := s.trusting()
	if change != nil {
		change(config)
	}
	sock, err := tls.Dial("tcp", s.addr, config)
	require.NoError(t, err)
	return harness.Use(t, sock)
}

// trusting is how a usual client connects.
func (s *secureServer) trusting() *tls.Config {
	return &tls.Config{RootCAs: s.authority.Pool(), ServerName: "localhost"}
}

// plain connects to the TLS port without it.
func (s *secureServer) plain(t *testing.T) *harness.Conn {
	t.Helper()
	sock, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	return harness.Use(t, sock)
}

// ended waits until so many connections have ended for a reason.
func (s *secureServer) ended(t *testing.T, reason string, times int) {
	t.Helper()
	harness.Eventually(t, func() bool { return s.Info(t, "ended_"+reason) == times }, "it is not counted as "+reason)
}

func TestTLSPeersAndOthersMeet(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			s := startTLS(t, server.Options{}, nil)
			secure := s.dial(t, func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
			plain := s.Dial(t)
			secure.Send("SUB a\n")
			secure.Expect("OK SUB a\n")
			large := strings.Repeat("x", 1<<20)
			plain.Command("PUBLISH", "a", large)
			plain.Expect(":1\r\n")
			secure.Expect("UPDATE a " + large + "\n")
			go func() { _, _ = io.WriteString(secure, harness.RESP("ECHO", large)) }() // what fails here fails below
			secure.Expect(fmt.Sprintf("$%d\r\n%s\r\n", len(large), large))
			secure.Send("QUIT\n")
			secure.Expect("+OK\r\n")
			secure.ExpectEnd() // with TLS's own goodbye: without it this is an error
			s.ended(t, "quit", 1)
		})
	}
}

func TestTLSRefusesOldVersions(t *testing.T) {
	s := startTLS(t, server.Options{}, nil)
	_, err := tls.Dial("tcp", s.addr, &tls.Config{
		RootCAs: s.authority.Pool(), MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11, //nolint:gosec // on purpose
	})
	assert.ErrorContains(t, err, "protocol version not supported")
	s.ended(t, "handshake", 1)
}

// A peer that does not speak TLS is told so, if what it sent can be the start of a line or of a command.
func TestPlainPeersOnTheTLSPort(t *testing.T) {
	for name, tt := range map[string]struct {
		sent string
		told bool
	}{
		"a line":           {"SUB news\n", true},
		"RESP":             {"*1\r\n$4\r\nPING\r\n", true},
		"a browser":        {"GET / HTTP/1.1\r\n\r\n", true},
		"bytes of no sort": {"\x01\x02\x03\x04\x05\x06\x07", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := startTLS(t, server.Options{}, nil)
			c := s.plain(t)
			c.Send("%s", tt.sent)
			answer, err := io.ReadAll(c)
			require.NoError(t, err)
			if tt.told {
				assert.True(t, strings.HasPrefix(string(answer), "-ERR this port speaks TLS: "), "%s", answer)
			} else {
				assert.NotContains(t, string(answer), "ERR")
			}
			s.ended(t, "handshake", 1)
			assert.Contains(t, s.log.String(), `"message":"a client without TLS connected to the TLS port"`)
			assert.NotContains(t, s.log.String(), "news", "what it sent is its own affair")
			s.dial(t, nil).Fence()
		})
	}
}

func TestWhoComesAndGoesOnTheTLSPortIsNoNews(t *testing.T) {
	s := startTLS(t, server.Options{}, nil)
	require.NoError(t, s.plain(t).Close())
	harness.Eventually(t, func() bool { return strings.Contains(s.log.String(), `"reason":"eof"`) }, "it stays")
	assert.NotContains(t, s.log.String(), `"level":"warn"`)
}

// Half a handshake holds one place among the connections until its time is over, and nothing else.
func TestHalfATLSHandshake(t *testing.T) {
	const half = "\x16\x03\x01\x02\x00\x01\x00\x01" // a handshake record of 512 bytes is to come
	t.Run("its time ends", func(t *testing.T) {
		s := startTLS(t, server.Options{HandshakeTimeout: 20 * time.Millisecond}, nil)
		c := s.plain(t)
		c.Send(half)
		_, _ = io.ReadAll(c) // an end, or a reset
		s.ended(t, "handshake", 1)
		assert.Contains(t, s.log.String(), "a TLS handshake timed out")
	})
	t.Run("others come in meanwhile, until the places are taken", func(t *testing.T) {
		s := startTLS(t, server.Options{MaxConnections: 51, HandshakeTimeout: time.Hour}, nil)
		var halves []*harness.Conn
		for range 50 {
			c := s.plain(t)
			c.Send(half)
			halves = append(halves, c)
		}
		harness.Eventually(t, func() bool { return strings.Count(s.log.String(), `"message":"connected"`) == 50 }, "they do not come in")
		comesIn := func() bool {
			sock, err := tls.Dial("tcp", s.addr, s.trusting())
			if err != nil { // where many are being refused, the next gets no text
				return false
			}
			c := harness.Use(t, sock)
			_, _ = io.WriteString(c, "PING\n") // fails for one that is refused
			got, _ := io.ReadAll(io.LimitReader(c, 7))
			if string(got) != "+PONG\r\n" {
				_ = c.Close()
				return false
			}
			return true
		}
		require.True(t, comesIn(), "there is a place left")
		refused := s.dial(t, nil)
		refused.Expect("-ERR max number of clients reached\r\n")
		refused.ExpectEnd()
		require.NoError(t, halves[0].Close())
		harness.Eventually(t, comesIn, "a place that was given up is not taken again")
	})
	t.Run("a shutdown does not wait for it", func(t *testing.T) {
		s := startTLS(t, server.Options{HandshakeTimeout: time.Hour}, nil)
		c := s.plain(t)
		c.Send(half)
		harness.Eventually(t, func() bool { return s.Info(t, "connected_clients") == 2 }, "it does not come in")
		s.Shutdown(context.Background()) // returning is the test
		assert.Contains(t, s.log.String(), `"reason":"shutdown"`)
	})
}

// Strangers can cause these lines, as many as they like.
func TestFailedHandshakesDoNotFillTheLog(t *testing.T) {
	s := startTLS(t, server.Options{}, nil)
	const n = 200
	for range n {
		c := s.plain(t)
		c.Send("hello\n")
		c.Line()
		require.NoError(t, c.Close())
	}
	s.ended(t, "handshake", n)
	lines := strings.Count(s.log.String(), "without TLS connected")
	assert.GreaterOrEqual(t, lines, 10)
	assert.Less(t, lines, n)
}

func TestClientCertificates(t *testing.T) {
	for _, tt := range []struct {
		sentence   string
		auth       tls.ClientAuthType
		name       string // in the client's certificate; none if empty
		stranger   bool   // another authority has signed it
		named      bool   // certificates name users
		in         bool
		comesIn    string // the name that it comes in under
		wantReason string
	}{
		{"who has one comes in", tls.RequireAndVerifyClientCert, "alice", false, false, true, "", ""},
		{"under its name, if certificates name users", tls.RequireAndVerifyClientCert, "alice", false, true, true, "alice", ""},
		{"who has none stays out", tls.RequireAndVerifyClientCert, "", false, true, false, "", "client didn't provide a certificate"},
		{"so does who has one of others", tls.RequireAndVerifyClientCert, "alice", true, true, false, "", "unknown authority"},
		{"if they are optional, one without comes in", tls.VerifyClientCertIfGiven, "", false, true, true, "", ""},
		{"and one with", tls.VerifyClientCertIfGiven, "bob", false, true, true, "bob", ""},
		{"but not with one of others", tls.VerifyClientCertIfGiven, "bob", true, true, false, "", "unknown authority"},
	} {
		t.Run(tt.sentence, func(t *testing.T) {
			s := startTLS(t, server.Options{CertificateUser: tt.named}, func(s *secureServer) {
				s.config.ClientAuth, s.config.ClientCAs = tt.auth, s.authority.Pool()
			})
			signer := s.authority
			if tt.stranger {
				signer = harness.NewAuthority(t)
			}
			c := s.dial(t, func(c *tls.Config) {
				if tt.name != "" {
					own := signer.Valid(t, tt.name).TLS(t)
					c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
				}
			})
			if tt.in {
				c.Fence()
				assert.Contains(t, s.log.String(), fmt.Sprintf(`"certificate_name":%q`, tt.comesIn))
				return
			}
			_, err := io.ReadAll(c)
			assert.ErrorContains(t, err, "remote error: tls: ") // in TLS 1.3 a client learns of it with its first read
			s.ended(t, "handshake", 1)
			assert.Contains(t, s.log.String(), tt.wantReason)
		})
	}
}

// A client that comes back resumes what it had, its certificate included.
func TestAResumedConnectionKeepsItsName(t *testing.T) {
	s := startTLS(t, server.Options{CertificateUser: true}, func(s *secureServer) {
		s.config.ClientAuth, s.config.ClientCAs = tls.RequireAndVerifyClientCert, s.authority.Pool()
	})
	own, cache := s.authority.Valid(t, "alice").TLS(t), tls.NewLRUClientSessionCache(1)
	for range 2 {
		c := s.dial(t, func(c *tls.Config) { c.Certificates, c.ClientSessionCache = []tls.Certificate{own}, cache })
		c.Fence()
		require.NoError(t, c.Close())
	}
	assert.Contains(t, s.log.String(), `"resumed":true,"certificate_name":"alice"`)
}

// The refusal comes inside TLS: it is what somebody sees who has just switched TLS on.
func TestProtectedModeCoversTLS(t *testing.T) {
	s := startTLS(t, server.Options{}, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = l.Addr().String()
	s.ServeTLS(elsewhere{l}, s.config)
	c := s.dial(t, nil)
	assert.True(t, strings.HasPrefix(c.Line(), "-DENIED conch is running in protected mode"))
	c.ExpectEnd()

	plain := s.plain(t)
	plain.Send("hello\n")
	answer, _ := io.ReadAll(plain)
	assert.NotContains(t, string(answer), "DENIED", "who is refused and speaks no TLS gets no text")
}

// What holds for TCP holds over TLS, where a deadline that passes within a record would lose the connection.
func TestEvictedOverTLS(t *testing.T) {
	s := startTLS(t, server.Options{SlowHard: 1 << 20}, nil)
	c := s.dial(t, nil)
	c.Send("SUB a\r\n")
	c.Expect("OK SUB a\r\n")
	n := flood(t, s.Server)
	got := 0
	for line := c.Line(); !strings.HasPrefix(line, "ERR closing connection: too slow"); line = c.Line() {
		require.Len(t, line, len("UPDATE a ")+7+10_000, "a torn line")
		require.True(t, strings.HasPrefix(line, fmt.Sprintf("UPDATE a %07d", got)), "%.40s", line)
		got++
	}
	c.ExpectEnd()
	assert.Less(t, got, n)
	s.ended(t, "slow_hard", 1)
}

func TestStalledOverTLS(t *testing.T) {
	s := startTLS(t, server.Options{SlowSoft: 1 << 30, SlowHard: 1 << 30, SlowTime: 50 * time.Millisecond}, nil)
	c := s.dial(t, nil)
	c.Send("SUB a\n")
	c.Expect("OK SUB a\n")
	flood(t, s.Server)
	s.ended(t, "stalled", 1)
}

// trickle is a peer that takes something again and again, but less in slow-time than a record holds.
type trickle struct{ net.Conn }

// A peer that takes something is not stalled, though it takes longer than slow-time for one record.
func TestWhoTakesLittleOverTLSIsNotStalled(t *testing.T) {
	const patience = 40 * time.Millisecond
	s := startTLS(t, server.Options{SlowSoft: 1 << 30, SlowHard: 1 << 30, SlowTime: patience}, nil)
	l := listenBroken(t, 1, func(c net.Conn) (net.Conn, error) { return trickle{c}, nil })
	s.addr = l.Addr().String()
	s.ServeTLS(l, s.config)
	c := s.dial(t, nil)
	c.Send("SUB a\n")
	c.Expect("OK SUB a\n")
	pub := s.Dial(t)
	large := strings.Repeat("x", 64<<10)
	pub.Command("PUBLISH", "a", large)
	pub.Expect(":1\r\n")
	c.Expect("UPDATE a " + large + "\n")
	c.Fence()
}

// Write takes 4 KiB, and then nothing until the deadline has passed.
func (t trickle) Write(b []byte) (int, error) {
	if len(b) <= 4<<10 {
		return t.Conn.Write(b)
	}
	n, err := t.Conn.Write(b[:4<<10])
	if err != nil {
		return n, err
	}
	return n, os.ErrDeadlineExceeded
}

func TestAnswersOverTLSAfterALongSilence(t *testing.T) {
	const patience = 20 * time.Millisecond
	s := startTLS(t, server.Options{SlowTime: patience}, nil)
	c := s.dial(t, nil)
	c.Fence() // sets a write deadline
	silence := time.NewTimer(2 * patience)
	<-silence.C
	c.Send("SUB a\nPUB a last\nQUIT\n")
	c.Expect("OK SUB a\nOK PUB a\nUPDATE a last\n+OK\r\n")
	c.ExpectEnd()
}

func TestShutdownOverTLS(t *testing.T) {
	t.Run("drains", func(t *testing.T) {
		s := startTLS(t, server.Options{DrainTimeout: harness.Patience}, nil)
		sub, pub := s.dial(t, nil), s.dial(t, nil)
		sub.Send("SUB a\n")
		sub.Expect("OK SUB a\n")
		const n = 1000
		line := strings.Repeat("x", 10_000)
		for range n {
			pub.Send("PUB a %s\n", line)
		}
		pub.Expect(strings.Repeat("OK PUB a\n", n)) // 10 MB are queued, more than the kernel holds
		done := make(chan struct{})
		go func() { defer close(done); s.Shutdown(context.Background()) }()
		sub.Expect(strings.Repeat("UPDATE a "+line+"\n", n))
		sub.ExpectEnd()
		<-done
	})
	t.Run("waits neither for who never reads nor for a goodbye", func(t *testing.T) {
		s := startTLS(t, server.Options{DrainTimeout: 50 * time.Millisecond}, nil)
		sub, pub := s.dial(t, nil), s.dial(t, nil)
		sub.Send("SUB a\n")
		sub.Expect("OK SUB a\n")
		for range 200 {
			pub.Send("PUB a %s\n", strings.Repeat("x", 60_000))
			pub.Expect("OK PUB a\n")
		}
		s.Shutdown(context.Background()) // returning is the test: bounded by the test's own time
	})
}

func TestAPeerThatGoesWithoutAGoodbye(t *testing.T) {
	s := startTLS(t, server.Options{}, nil)
	c := s.dial(t, nil)
	c.Fence()
	require.NoError(t, c.Conn.(*tls.Conn).NetConn().Close())
	harness.Eventually(t, func() bool { return strings.Contains(s.log.String(), `"reason":"eof"`) }, "it stays")
}

func TestCLIENTKILLOverTLS(t *testing.T) {
	s := startTLS(t, server.Options{}, nil)
	c, half := s.dial(t, nil), s.plain(t)
	c.Fence()
	half.Send("\x16\x03")
	admin := s.Dial(t)
	harness.Eventually(t, func() bool { return s.Info(t, "connected_clients") == 4 }, "it does not come in")
	for _, victim := range []*harness.Conn{c, half} {
		admin.Command("CLIENT", "KILL", "ADDR", victim.LocalAddr().String())
		admin.Expect(":1\r\n")
		victim.ExpectEnd()
	}
	s.ended(t, "killed", 2)
}
