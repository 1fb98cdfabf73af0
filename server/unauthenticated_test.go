package server_test

import (
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// untilClosed reads what a connection that has to go is told.
func untilClosed(t *testing.T, c *harness.Conn) string {
	t.Helper()
	text, err := io.ReadAll(c)
	require.NoError(t, err)
	return string(text)
}

const mayBeUnknownFor = 20 * time.Millisecond

const notInTime = "-ERR closing connection: no AUTH within 20ms (--auth-timeout)\r\n"

// Whatever an unauthenticated peer does or leaves undone, it gets auth-timeout and no more, and the server goes on.
func TestUnauthenticatedClientsHaveTheirTimeAndNoMore(t *testing.T) {
	options := server.Options{RequirePassword: "pw", AuthTimeout: mayBeUnknownFor}
	t.Run("one that says nothing, on a server that has never said a word", func(t *testing.T) {
		s := harness.Start(t, options)
		assert.Equal(t, notInTime, untilClosed(t, s.Dial(t)))
		harness.Eventually(t, func() bool { // each has no more time than that either
			c := s.Dial(t)
			_, _ = io.WriteString(c, harness.RESP("AUTH", "default", "pw")+"PING\r\n")
			got, _ := io.ReadAll(io.LimitReader(c, 12))
			return string(got) == "+OK\r\n+PONG\r\n"
		}, "nobody comes in any more")
	})
	t.Run("one that says RESET all the time", func(t *testing.T) {
		s := harness.Start(t, options)
		c := s.Dial(t)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			often := time.NewTicker(mayBeUnknownFor / 4)
			defer often.Stop()
			for {
				select {
				case <-stop:
					return
				case <-often.C:
				}
				if _, err := io.WriteString(c, "RESET\r\n"); err != nil {
					return
				}
			}
		}()
		assert.Contains(t, untilClosed(t, c), notInTime)
		close(stop)
		<-stopped
	})
	t.Run("one whose certificate names nobody", func(t *testing.T) {
		s := startTLS(t, server.Options{CertificateUser: true, RequirePassword: "pw", AuthTimeout: mayBeUnknownFor},
			func(s *secureServer) {
				s.config.ClientAuth, s.config.ClientCAs = tls.RequireAndVerifyClientCert, s.authority.Pool()
			})
		own := s.authority.Valid(t, "nobody").TLS(t)
		c := s.dial(t, func(c *tls.Config) { c.Certificates = []tls.Certificate{own} })
		assert.Equal(t, notInTime, untilClosed(t, c))
	})
	t.Run("and nothing large before that either", func(t *testing.T) {
		s := startTLS(t, server.Options{CertificateUser: true, RequirePassword: "pw"}, func(s *secureServer) {
			s.config.ClientAuth, s.config.ClientCAs = tls.RequireAndVerifyClientCert, s.authority.Pool()
		})
		own := s.authority.Valid(t, "nobody").TLS(t)
		c := s.dial(t, func(c *tls.Config) { c.Certificates = []tls.Certificate{own} })
		c.Command("PUBLISH", "a", strings.Repeat("x", 20_000))
		assert.Equal(t, "-ERR Protocol error: unauthenticated bulk length\r\n", untilClosed(t, c))
	})
}

// Only ASCII has cases: what looks like an option to one part of the server does so to all.
func TestOptionsAreFoldedInOneWay(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := s.Dial(t)
	for _, value := range []string{"x", strings.Repeat("x", 32), ""} {
		c.Command("CONFIG", "SET", "requ\u0130repass", value)
		assert.Contains(t, c.Line(), "-ERR Unknown option or number of arguments for CONFIG SET")
	}
	c.Fence()
	assert.Equal(t, "default", ask(t, c, "ACL", "WHOAMI"))
}

// Before a client has authenticated, its predicates are not looked at: right or wrong, too long or too many.
func TestPredicatesOfUnauthenticatedClientsAreNotRead(t *testing.T) {
	s := harness.Start(t, server.Options{RequirePassword: "pw", MaxPredicate: 100})
	c := s.Dial(t)
	for _, predicate := range []string{"n == 1", "n ==", "", strings.Repeat("n", 200)} {
		c.Command("PSUBSCRIBE", "orders WHERE "+predicate)
		assert.Equal(t, "-NOAUTH Authentication required.", c.Line())
		c.Send("SUBSCRIBE \"orders WHERE %s\"\n", predicate)
		assert.Equal(t, "-NOAUTH Authentication required.", c.Line())
		if predicate != "" {
			c.Send("SUB orders WHERE %s\n", predicate)
			assert.Equal(t, "NOAUTH authentication required; type: AUTH user password", c.Line())
		}
	}
	become(c, "default", "pw")
	c.Send("SUB orders WHERE n ==\n")
	assert.Contains(t, c.Line(), "wrong predicate")
}
