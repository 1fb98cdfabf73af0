package sockio

import (
	"net"
	"syscall"
)

// Vector is one of the buffers of a TryWritev.
type Vector []byte

// NewVector is a buffer that is not empty.
func NewVector(b []byte) Vector { return b }

// Raw is nil: a socket here cannot be read or written without waiting, so reads and writes go through it. Each connection
// has a writer of its own then, as one with TLS has elsewhere, and a read buffer while it is silent.
func Raw(net.Conn) syscall.RawConn { return nil }

// TryRead is not called, because Raw is nil.
func TryRead(uintptr, []byte) (int, error) { return 0, syscall.EWINDOWS }

// TryWritev is not called, because Raw is nil.
func TryWritev(uintptr, []Vector, int) (int, error) { return 0, syscall.EWINDOWS }
