package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// idleGroup is the number of idle connections on one topic.
const idleGroup = 100

// idle is a set of connections without traffic.
type idle []net.Conn

// Idle opens n connections, each subscribed to one topic and then idle, a hundred on each topic. The subscriptions are
// confirmed when Idle returns. The connections stay open until the caller closes the result. Each takes a descriptor.
func Idle(ctx context.Context, address string, n int, d Dialect) (io.Closer, error) {
	all := make(idle, 0, n)
	for i := range n {
		sock, err := idleOne(ctx, address, d, fmt.Sprintf("bench:idle:%d", i/idleGroup))
		if err != nil {
			return nil, errors.Join(err, all.Close())
		}
		all = append(all, sock)
	}
	return all, nil
}

func idleOne(ctx context.Context, address string, d Dialect, topic string) (net.Conn, error) {
	c, err := (&Load{Address: address, Dialect: d}).dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.subscribe([]string{topic}); err != nil {
		c.drop()
		return nil, err
	}
	sock, _, err := c.done()
	return sock, err
}

// Close closes all connections.
func (all idle) Close() error {
	var failed error
	for _, sock := range all {
		failed = errors.Join(failed, sock.Close())
	}
	return failed
}
