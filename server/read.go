package server

import (
	"errors"
	"io"
	"syscall"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/sockio"
)

// reader is the socket side of a connection's reader: one read. [command.Reader] is the rest.
type reader struct {
	*conn
	ready func(fd uintptr) bool
	batch *command.Batch // result of ready
	err   error          // result of ready
}

// read waits for bytes, and returns them in a batch.
func (r *reader) read() (*command.Batch, error) {
	r.batch, r.err = nil, nil
	if r.rawConn == nil {
		r.receive(r.sock.Read)
	} else if err := r.rawConn.Read(r.ready); err != nil {
		return nil, err
	}
	return r.batch, r.err
}

// readReady reads when the socket may be readable. The runtime calls it, and again later if it returns false.
// Until then the connection holds no read buffer.
func (r *reader) readReady(fd uintptr) bool {
	return r.receive(func(b []byte) (int, error) { return sockio.TryRead(fd, b) })
}

// receive reads once, and returns false if no bytes have arrived.
func (r *reader) receive(read func([]byte) (int, error)) bool {
	n, err := read(r.Reader.Space(r.rawConn == nil))
	if errors.Is(err, syscall.EAGAIN) {
		r.Reader.Unused()
		return false
	}
	if r.batch = r.Reader.Received(n); r.batch == nil {
		r.err = err
		if err == nil {
			r.err = io.EOF
		}
	}
	return true
}
