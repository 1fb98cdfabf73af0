//go:build unix

package sockio

import (
	"net"
	"syscall"
	"unsafe"
)

// Vector is one of the buffers of a TryWritev.
type Vector = syscall.Iovec

// NewVector is a buffer that is not empty.
func NewVector(b []byte) Vector {
	v := Vector{Base: unsafe.SliceData(b)}
	v.SetLen(len(b))
	return v
}

// Raw is the descriptor of a socket, for TryRead and TryWritev. It is nil where there is none, as with TLS: then reads
// and writes go through the socket, and wait.
func Raw(sock net.Conn) syscall.RawConn {
	if sc, ok := sock.(syscall.Conn); ok {
		raw, _ := sc.SyscallConn() // nil on failure
		return raw
	}
	return nil
}
