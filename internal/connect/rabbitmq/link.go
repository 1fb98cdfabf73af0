package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/conchmq/conch/internal/connect"
)

// patience bounds the handshake, and the goodbye.
const patience, goodbye = 30 * time.Second, 2 * time.Second

// link is a connection with one channel. The library can connect again by itself; that stays off: the numbers of deliveries begin anew
// with each channel, so an acknowledgement from before could end up at another message. The engine connects again for all systems.
type link struct {
	conn    *amqp.Connection
	channel *amqp.Channel
	socket  net.Conn
	closed  chan *amqp.Error // why the channel was closed; closed itself if this side did it
}

// dial connects and opens a channel. The end of ctx ends it.
func dial(ctx context.Context, address *url.URL, name string) (*link, error) {
	l := &link{}
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(name)
	stop := func() bool { return false }
	conn, err := amqp.DialConfig(address.String(), amqp.Config{
		Properties: properties,
		Dial: func(network, at string) (net.Conn, error) {
			socket, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, network, at)
			if err != nil {
				return nil, err
			}
			stop = context.AfterFunc(ctx, func() { _ = socket.Close() }) // ends the handshake
			l.socket = socket
			return socket, socket.SetDeadline(time.Now().Add(patience)) // the library lifts it after the handshake
		},
	})
	stop()
	if err != nil {
		return nil, diagnose(err)
	}
	l.conn = conn
	if err := l.openChannel(); err != nil {
		l.close()
		return nil, diagnose(err)
	}
	return l, nil
}

// openChannel opens a channel in the place of one that the server has closed.
func (l *link) openChannel() (err error) {
	if l.channel, err = l.conn.Channel(); err != nil {
		return err
	}
	l.closed = l.channel.NotifyClose(make(chan *amqp.Error, 1))
	return nil
}

// close ends the connection, and all goroutines of the library.
func (l *link) close() {
	_ = l.conn.CloseDeadline(time.Now().Add(goodbye)) // one that has ended already is no failure
	_ = l.socket.Close()
}

// reason is why the channel ended.
func (l *link) reason() error {
	if err := <-l.closed; err != nil {
		return diagnose(err)
	}
	return errors.New("the connection was closed")
}

// diagnose marks what trying again does not change.
func diagnose(err error) error {
	var e *amqp.Error
	if !errors.As(err, &e) {
		return err
	}
	err = fmt.Errorf("rabbitmq: %d %s", e.Code, e.Reason)
	switch e.Code {
	case amqp.AccessRefused, amqp.NotFound, amqp.PreconditionFailed, amqp.NotAllowed, amqp.ResourceLocked:
		return &connect.Permanent{Err: err}
	default:
		return err
	}
}
