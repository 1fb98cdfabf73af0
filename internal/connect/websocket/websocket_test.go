package websocket

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/drivertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a function for each connection. The server ends with the test, and waits for them.
func serve(t *testing.T, run func(ctx context.Context, c *websocket.Conn, r *http.Request)) (url string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, ok := r.BasicAuth(); ok && password != "right" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"numbers"}})
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		c.SetReadLimit(-1)
		run(r.Context(), c, r)
	}))
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "http://", "ws://", 1)
}

// sendNumbers waits for a first message, and sends that and ten thousand more.
func sendNumbers(ctx context.Context, c *websocket.Conn, r *http.Request) {
	_, hello, err := c.Read(ctx)
	if err != nil {
		return
	}
	_ = c.Write(ctx, websocket.MessageText, append(hello, r.URL.RawQuery...))
	for i := range 10_000 {
		if c.Write(ctx, websocket.MessageBinary, fmt.Append(nil, i)) != nil {
			return
		}
	}
	_ = c.Close(websocket.StatusGoingAway, "restart")
}

func TestTenThousandIn(t *testing.T) {
	url := serve(t, sendNumbers)
	source := drivertest.OpenSource(t, System, url+"/feed?x=1&conch-send=hello&conch-protocol=numbers", connect.Start{})
	want := append([]string{"hellox=1"}, drivertest.Payloads(0, 10_000)...)
	assert.Equal(t, want, drivertest.ReadPayloads(t, source, 10_001))
	require.ErrorContains(t, drivertest.ReadError(t, source), "StatusGoingAway")
	drivertest.Reconnect(t, source, connect.Start{}) // the first message is sent again
	assert.Equal(t, want, drivertest.ReadPayloads(t, source, 10_001))
}

func TestAMessageAboveTheLimit(t *testing.T) {
	url := serve(t, func(ctx context.Context, c *websocket.Conn, _ *http.Request) {
		_ = c.Write(ctx, websocket.MessageText, make([]byte, 3*drivertest.Limit))
		_ = c.Write(ctx, websocket.MessageText, []byte("next"))
		_, _, _ = c.Read(ctx) // the end
	})
	source := drivertest.OpenSource(t, System, url, connect.Start{})
	got := drivertest.Read(t, source, 2)
	assert.Len(t, got[0].Payload, drivertest.Limit+1, "what shows that it is too large")
	assert.Equal(t, "next", string(got[1].Payload))
}

func TestTenThousandOut(t *testing.T) {
	got := make(chan string, 10_002)
	url := serve(t, func(ctx context.Context, c *websocket.Conn, _ *http.Request) {
		for {
			kind, payload, err := c.Read(ctx)
			if err != nil {
				return
			}
			got <- kind.String()[len("Message"):] + " " + string(payload)
			_ = c.Write(ctx, websocket.MessageText, []byte("is dropped"))
		}
	})
	sink := drivertest.OpenSink(t, System, url)
	for i := 0; i < 10_000; i += 250 {
		require.NoError(t, drivertest.Write(t, sink, drivertest.Numbers(i, i+250)))
		require.Len(t, got, i+250, "a batch is written once the other side has read it")
	}
	require.NoError(t, drivertest.Write(t, sink, []connect.Message{{Payload: []byte{0xff}}}))
	for i := range 10_000 {
		require.Equal(t, "Text "+fmt.Sprint(i), <-got)
	}
	assert.Equal(t, "Binary \xff", <-got)
}

func TestALostServerEndsAConnection(t *testing.T) {
	url := serve(t, func(context.Context, *websocket.Conn, *http.Request) {})
	require.Error(t, drivertest.ReadError(t, drivertest.OpenSource(t, System, url, connect.Start{})))
	require.Error(t, drivertest.Write(t, drivertest.OpenSink(t, System, url), drivertest.Numbers(0, 1)))
}

func TestCredentialsStayAtTheirHost(t *testing.T) {
	other := serve(t, func(ctx context.Context, c *websocket.Conn, r *http.Request) {
		_ = c.Write(ctx, websocket.MessageText, []byte("credentials: "+r.Header.Get("Authorization")))
		_, _, _ = c.Read(ctx) // the end
	})
	s := httptest.NewServer(http.RedirectHandler(other, http.StatusFound))
	t.Cleanup(s.Close)
	source := drivertest.OpenSource(t, System, strings.Replace(s.URL, "http://", "ws://u:right@", 1), connect.Start{})
	assert.Equal(t, []string{"credentials: "}, drivertest.ReadPayloads(t, source, 1))
}

func TestWhatIsPermanent(t *testing.T) {
	url := serve(t, sendNumbers)
	for _, text := range []string{strings.Replace(url, "//", "//u:wrong@", 1), url + "?conch-protocol=other"} {
		sink, err := newSink(drivertest.Address(t, System, text))
		require.NoError(t, err)
		err = sink.Connect(t.Context())
		require.ErrorAs(t, err, new(*connect.Permanent), text)
		assert.NotContains(t, err.Error(), "wrong")
		require.NoError(t, sink.Close(t.Context()))
	}
	_, err := newSource(drivertest.Address(t, System, "ws:///path"))
	assert.ErrorContains(t, err, "the address needs a host")
}
