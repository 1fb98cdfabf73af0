package websocket

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A dial that is given up leaves no connection, also if that is there only afterwards.
func TestADialThatIsGivenUp(t *testing.T) {
	transport := http.DefaultTransport.(*http.Transport)
	dial := transport.DialContext
	defer func() { transport.DialContext = dial }()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		givenUp := make(chan struct{})
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			cancel()
			<-givenUp
			return ours, nil
		}
		_, err := (&target{url: "ws://127.0.0.1:1"}).dial(ctx)
		require.ErrorIs(t, err, context.Canceled)
		close(givenUp)
		start := time.Now()
		_, err = theirs.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		assert.Zero(t, time.Since(start))
	})
}
