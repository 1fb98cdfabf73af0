// Package websocket reads from and writes to WebSockets, as a client.
package websocket

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/coder/websocket"

	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/redirect"
)

// System is the row of WebSockets.
var System = connect.System{
	Name: "websocket", Schemes: []string{"ws", "wss"},
	Source: newSource, Sink: newSink,
}

// target is where a connection goes.
type target struct {
	url     string
	options websocket.DialOptions
	hello   []string // sent first, in this order
}

func newTarget(a *connect.Address) (*target, error) {
	if a.URL.Host == "" {
		return nil, errors.New("the address needs a host: wss://example.com/path")
	}
	t := &target{hello: a.Query["conch-send"]}
	a.Query.Del("conch-send")
	if protocol := a.Take("conch-protocol"); protocol != "" {
		t.options.Subprotocols = []string{protocol}
	}
	header := http.Header{"User-Agent": {"conch"}}
	token := a.Take("conch-token")
	if user := a.URL.User; user != nil {
		password, _ := user.Password()
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	} else if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	t.options.HTTPHeader = header
	u := *a.URL
	u.User, u.RawQuery = nil, a.Query.Encode() // what is left is the other server's
	clear(a.Query)
	t.url = u.String()
	return t, nil
}

// dial connects, and sends what the other side is to get first.
func (t *target) dial(ctx context.Context) (*websocket.Conn, error) {
	options := t.options
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections() // and one that comes once ctx has ended
	options.HTTPClient = &http.Client{Transport: transport, CheckRedirect: redirect.Follow}
	conn, response, err := websocket.Dial(ctx, t.url, &options) //nolint:bodyclose // the library's
	if err != nil {
		if response != nil && response.StatusCode >= 400 && response.StatusCode < 500 && response.StatusCode != http.StatusTooManyRequests {
			return nil, &connect.Permanent{Err: fmt.Errorf("the server answers %s", response.Status)}
		}
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) { // it has the URL, whose query may have secrets
			err = wrapped.Err
		}
		return nil, err
	}
	if want := t.options.Subprotocols; len(want) > 0 && conn.Subprotocol() != want[0] {
		_ = conn.CloseNow() // nothing was sent
		return nil, &connect.Permanent{Err: fmt.Errorf("the server does not speak the subprotocol %s", want[0])}
	}
	for _, text := range t.hello {
		if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			_ = conn.CloseNow() // its error is known
			return nil, err     //nolint:wrapcheck // of the library, with its name
		}
	}
	return conn, nil
}
