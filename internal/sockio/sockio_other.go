//go:build unix && !linux

package sockio

import (
	"errors"
	"syscall"
	"unsafe"
)

// TryRead reads what is there; syscall.EAGAIN if that is nothing.
func TryRead(fd uintptr, b []byte) (int, error) {
	for {
		if n, err := syscall.Read(int(fd), b); !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

// TryWritev writes what fits of the first buffer; syscall.EAGAIN if nothing does.
func TryWritev(fd uintptr, buffers []Vector, _ int) (int, error) {
	for {
		n, err := syscall.Write(int(fd), unsafe.Slice(buffers[0].Base, buffers[0].Len))
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}
