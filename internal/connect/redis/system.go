// Package redis reads from and writes to Redis: channels, patterns, and streams. Another conch is one, too.
package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/connect"
)

// System is the row of Redis.
//
// It uses package client, and no other library: that has channels, patterns, groups and reads of streams, on Redis and on conch.
var System = connect.System{
	Name: "redis", Schemes: []string{"redis", "rediss"},
	Source: newSource, Sink: newSink,
	Meta:      []string{"channel", "stream"},
	Positions: true, IDs: true, Headers: true,
}

// options are those of package client for an address.
func options(a *connect.Address, stream bool) (client.Options, error) {
	u := *a.URL
	u.RawQuery, u.Fragment = "", ""
	o, err := client.ParseURL(u.String())
	if err != nil {
		return o, err //nolint:wrapcheck // names what is wrong, never the password
	}
	if database := strings.Trim(u.Path, "/"); stream && database != "" && database != "0" {
		return o, fmt.Errorf("streams are read and written in database 0 alone: leave out /%s", database)
	}
	return o, nil
}

// errLost is the cause of a connection that ended: the engine makes the next one, so that a person can see it.
var errLost = errors.New("the connection to Redis is lost")

// dialAtMost lets package client make so many connections and none in place of them. lost is called at the attempt.
func dialAtMost(o client.Options, connections int32, lost func(error)) client.Options {
	var dials atomic.Int32
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) > connections {
			lost(errLost)
			return nil, errLost
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	return o
}

// permanentCodes are of refusals that another attempt does not change.
var permanentCodes = map[client.Code]bool{
	client.CodeNoAuth: true, client.CodeWrongPass: true, client.CodeNoPerm: true, client.CodeWrongType: true, client.CodeNoGroup: true,
}

// markPermanent marks errors that another attempt does not change.
func markPermanent(err error) error {
	if refusal := (*client.Error)(nil); errors.As(err, &refusal) && permanentCodes[refusal.Code] {
		return &connect.Permanent{Err: err}
	}
	return err
}
