package cluster

import (
	"io"
	"time"
)

type deadlined interface {
	SetDeadline(t time.Time) error
}

// idle reads from a connection that must not be silent for longer than a time.
type idle struct {
	conn interface {
		io.Reader
		deadlined
	}
	most time.Duration
}

func (i idle) Read(p []byte) (int, error) {
	if err := i.conn.SetDeadline(time.Now().Add(i.most)); err != nil {
		return 0, err
	}
	return i.conn.Read(p)
}

// idleWriter writes to one that must take something within a time.
type idleWriter struct {
	conn interface {
		io.Writer
		deadlined
	}
	most time.Duration
}

func (i idleWriter) Write(p []byte) (int, error) {
	if err := i.conn.SetDeadline(time.Now().Add(i.most)); err != nil {
		return 0, err
	}
	return i.conn.Write(p)
}
