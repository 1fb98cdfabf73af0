//go:build soak

package soak

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"time"

	"github.com/conchmq/conch/internal/harness"
)

// patience bounds every wait. Nothing is measured with it.
const patience = 2 * time.Minute

// way is how a connection gets to the server.
type way int

const (
	direct  way = iota
	proxied     // through the faulty proxy
	secure      // over TLS, if the binary has it
	remote      // from a network namespace, if there is one
	local       // over the Unix socket
	ways
)

// wire is a connection that may fail at any time, which is nobody's fault here.
type wire struct {
	net.Conn
	r *bufio.Reader
}

func newWire(sock net.Conn) *wire {
	_ = sock.SetDeadline(time.Now().Add(patience)) // a socket that does not take it fails at the next step
	return &wire{sock, bufio.NewReader(sock)}
}

func (w *wire) send(text string) error {
	_, err := io.WriteString(w, text)
	return err
}

// frame reads one answer or message.
func (w *wire) frame() (string, error) {
	b, err := harness.ReadFrame(w.r)
	return string(b), err
}

// ask sends a command and reads its answer.
func (w *wire) ask(command string) (string, error) {
	if err := w.send(command); err != nil {
		return "", err
	}
	return w.frame()
}

func (w *wire) shut() { _ = w.Close() } // nothing is done about its failure

// reset closes with a RST, where that can be said.
func (w *wire) reset() {
	sock := w.Conn
	if over, ok := sock.(*tls.Conn); ok {
		sock = over.NetConn()
	}
	if tcp, ok := sock.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // should it fail, the close is a plain one
	}
	_ = sock.Close()
}

// narrow keeps the kernel from taking much for a peer that does not read. It is not for those who will: with a window
// that is smaller than a segment of the loopback interface, a stream crawls at some ten KiB a second.
func (w *wire) narrow() {
	if tcp, ok := w.Conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4 << 10) // should it fail, it takes longer until the server notices
	}
}

// dial connects, by another way if there is none such. Failures are common while the server restarts.
func (s *run) dial(by way) (*wire, error) {
	p := s.target.current()
	var sock net.Conn
	var err error
	switch {
	case by == proxied:
		sock, err = net.DialTimeout("tcp", s.proxy.Addr(), patience)
	case by == secure && p.tlsAddr != "":
		dialer := &net.Dialer{Timeout: patience}
		sock, err = tls.DialWithDialer(dialer, "tcp", p.tlsAddr, &tls.Config{InsecureSkipVerify: true}) // its own
	case by == remote && s.near != nil:
		sock, err = s.near.dial(p.addr)
	case by == local && s.target.socket != "":
		sock, err = net.DialTimeout("unix", s.target.socket, patience)
		s.report.add(rowUnix, 1)
	default:
		sock, err = net.DialTimeout("tcp", p.addr, patience)
	}
	if err != nil {
		return nil, err
	}
	s.report.add(rowConns, 1)
	return newWire(sock), nil
}
