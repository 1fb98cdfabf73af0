package conchtest_test

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/conchtest"
	"github.com/conchmq/conch/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// roundTrip publishes a message over a URL and receives it.
func roundTrip(t *testing.T, url string) {
	t.Helper()
	c, err := client.DialURL(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	sub, err := c.Subscribe(t.Context(), client.Topic("orders"))
	require.NoError(t, err)
	_, err = c.Publish(t.Context(), "orders", []byte("hi"))
	require.NoError(t, err)
	for m, err := range sub.Messages(t.Context()) {
		require.NoError(t, err)
		assert.Equal(t, "hi", string(m.Payload))
		break
	}
}

func TestStart(t *testing.T) {
	one, two := conchtest.Start(t), conchtest.Start(t)
	assert.NotEqual(t, one.Addr, two.Addr)
	roundTrip(t, one.URL())
	roundTrip(t, two.URL())
}

func TestPassword(t *testing.T) {
	s := conchtest.Start(t, func(o *server.Options) { o.RequirePassword = "a b/c:@" })
	roundTrip(t, s.URL())
	_, err := client.DialURL(t.Context(), "conch://"+s.Addr)
	assert.ErrorContains(t, err, "NOAUTH")
}

func TestStartOnAUnixSocket(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "conch.sock"))
	require.NoError(t, err)
	roundTrip(t, conchtest.StartOn(t, l).URL())
}

// A test can stop a server and start another one in its place.
func TestStop(t *testing.T) {
	s := conchtest.Start(t)
	s.Stop()
	s.Stop()
	_, err := client.DialURL(t.Context(), s.URL())
	require.Error(t, err)
	l, err := net.Listen("tcp", s.Addr)
	require.NoError(t, err)
	roundTrip(t, conchtest.StartOn(t, l).URL())
	roundTrip(t, s.URL())
}

// failing is a test that may fail without failing its caller.
type failing struct {
	testing.TB
	failed bool
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(string, ...any) {
	f.failed = true
	panic(f)
}

func TestWrongOptions(t *testing.T) {
	f := &failing{TB: t}
	assert.Panics(t, func() {
		conchtest.Start(f, func(o *server.Options) { o.SlowSoft, o.SlowHard = 2<<20, 1<<20 })
	})
	assert.True(t, f.failed)
}
