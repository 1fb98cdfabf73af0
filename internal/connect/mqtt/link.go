package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session"
	"github.com/eclipse/paho.golang/paho/session/state"

	"github.com/conchmq/conch/internal/connect"
)

// patience bounds the handshake, goodbye the last packet.
const patience, goodbye = 30 * time.Second, 2 * time.Second

// keepAlive is the silence in seconds after which a PING is sent.
const keepAlive = 30

// login is where and as what to connect.
type login struct {
	host, port  string
	secure      bool
	id          string // of the client, for the server
	named       bool   // the address has the id
	user        string
	password    string
	hasPassword bool
	clip        int // payloads from the server are cut to one byte more; 0: none come
}

// link is a connection. The library's own reconnecting (autopaho) stays off: the engine connects again for all systems.
type link struct {
	client  *paho.Client
	session *state.State
	conn    net.Conn
	largest uint32 // packet that the server takes; 0: any

	ended  chan struct{} // closed once failed is set
	mu     sync.Mutex
	failed error // why the connection ended
}

// heldSession is the session without the acknowledgements of the library, which come when a handler returns. Ours come when messages have
// taken effect.
type heldSession struct{ session.SessionManager }

func (heldSession) Ack(*packets.Publish) error { return nil }

// dial connects. Each connection has a session of its own here; what the server keeps of one is its business.
func dial(ctx context.Context, in login, expiry uint32, inFlight uint16, received func(*paho.Publish), ended func(error)) (*link, error) {
	conn, err := in.dial(ctx)
	if err != nil {
		return nil, err
	}
	l := &link{conn: conn, session: state.NewInMemory(), ended: make(chan struct{})}
	fail := func(err error) {
		if errors.Is(err, io.EOF) {
			err = errors.New("mqtt: the server has closed the connection without a reason; another client with the same id does that, see ?client-id=")
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.failed == nil {
			l.failed = err
			close(l.ended)
		}
		ended(l.failed)
	}
	l.client = paho.NewClient(paho.ClientConfig{
		Conn:          conn,
		Session:       heldSession{l.session},
		PacketTimeout: patience,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			received(p.Packet)
			return true, nil
		}},
		OnClientError:      fail,
		OnServerDisconnect: func(d *paho.Disconnect) { fail(reason("the server has ended the connection", d.ReasonCode)) },
	})
	ack, err := l.client.Connect(ctx, in.packet(expiry, inFlight))
	if err != nil {
		_ = l.session.Close() // it has nothing yet
		if ack != nil && ack.ReasonCode >= failure {
			err = reason("the server refuses the connection", ack.ReasonCode)
		}
		return nil, err
	}
	if p := ack.Properties; p != nil && p.MaximumPacketSize != nil {
		l.largest = *p.MaximumPacketSize
	}
	return l, nil
}

func (in *login) dial(ctx context.Context) (net.Conn, error) {
	at, dialer := net.JoinHostPort(in.host, in.port), &net.Dialer{Timeout: patience}
	dial := dialer.DialContext
	if in.secure {
		dial = (&tls.Dialer{NetDialer: dialer}).DialContext
	}
	conn, err := dial(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	if in.clip > 0 {
		return packets.NewThreadSafeConn(newClippedConn(conn, in.clip)), nil
	}
	if in.secure {
		return packets.NewThreadSafeConn(conn), nil
	}
	return conn, nil // a bare socket keeps the pieces of a packet together when it writes
}

func (in *login) packet(expiry uint32, inFlight uint16) *paho.Connect {
	return &paho.Connect{
		ClientID: in.id, KeepAlive: keepAlive, CleanStart: expiry == 0,
		Username: in.user, UsernameFlag: in.user != "", Password: []byte(in.password), PasswordFlag: in.hasPassword,
		Properties: &paho.ConnectProperties{SessionExpiryInterval: &expiry, ReceiveMaximum: &inFlight, RequestProblemInfo: true},
	}
}

// failure is the first reason code that is one.
const failure = 0x80

// codes are reasons that a person can do something about, and that trying again does not change.
var codes = map[byte]string{
	0x84: "it has no MQTT 5",
	0x85: "it does not like the client id; see ?client-id=",
	0x86: "wrong user or password",
	0x87: "not authorized",
	0x8A: "banned",
	0x8E: "another client has connected with the same id; see ?client-id=",
	0x8F: "it does not like the topic filter",
	0x9E: "it has no shared subscriptions",
	0xA2: "it has no subscriptions with wildcards",
}

// reason is the error for a reason code.
func reason(what string, code byte) error {
	if text, ok := codes[code]; ok {
		return &connect.Permanent{Err: fmt.Errorf("mqtt: %s: %s", what, text)}
	}
	return fmt.Errorf("mqtt: %s: reason 0x%02X", what, code)
}

// failure is why the connection ended, err if that is not known.
func (l *link) failure(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return l.failed
	}
	return err
}

// close disconnects in due form, and waits for the library's goroutines.
func (l *link) close() {
	_ = l.conn.SetDeadline(time.Now().Add(goodbye)) // a socket that is closed already needs none
	_ = l.client.Disconnect(&paho.Disconnect{})     // nor a goodbye
	_ = l.session.Close()                           // it never fails
}
