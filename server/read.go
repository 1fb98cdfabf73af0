package server

import (
	"errors"
	"io"
	"syscall"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/sockio"
)

// reader is the socket side of a connection's reader: one read. The rest of it is [Reader].
type reader struct {
	*conn
	ready func(fd uintptr) bool
	batch *command.Batch // of ready
	err   error          // of ready
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

// readReady is called by the runtime when the socket may be readable; false means that it is not.
func (r *reader) readReady(fd uintptr) bool {
	return r.receive(func(b []byte) (int, error) { return sockio.TryRead(fd, b) })
}

// receive reads once; false means that there is nothing yet.
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
