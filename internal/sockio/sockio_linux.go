package sockio

import (
	"runtime"
	"syscall"
	"unsafe"
)

// maxUnannounced is how many bytes a call to the kernel may move without the runtime being told of it. A socket of ours never
// blocks, so such a call is over in microseconds. Told, the runtime prepares for one that is not: at low rates that wakes
// its monitor thread for each call, which costs more than the message does.
const maxUnannounced = 64 << 10

// TryRead reads what is there; syscall.EAGAIN if that is nothing.
func TryRead(fd uintptr, b []byte) (int, error) {
	n, err := rawSyscall(syscall.SYS_READ, fd, unsafe.Pointer(unsafe.SliceData(b)), len(b), len(b))
	runtime.KeepAlive(b)
	return n, err
}

// TryWritev writes what fits of all buffers, size bytes together; syscall.EAGAIN if nothing does.
func TryWritev(fd uintptr, buffers []Vector, size int) (n int, err error) {
	if len(buffers) == 1 {
		n, err = rawSyscall(syscall.SYS_WRITE, fd, unsafe.Pointer(buffers[0].Base), size, size)
	} else {
		n, err = rawSyscall(syscall.SYS_WRITEV, fd, unsafe.Pointer(unsafe.SliceData(buffers)), len(buffers), size)
	}
	runtime.KeepAlive(buffers)
	return n, err
}

func rawSyscall(trap, fd uintptr, p unsafe.Pointer, n, size int) (int, error) {
	for {
		var done uintptr
		var errno syscall.Errno
		if size > maxUnannounced {
			done, _, errno = syscall.Syscall(trap, fd, uintptr(p), uintptr(n))
		} else {
			done, _, errno = syscall.RawSyscall(trap, fd, uintptr(p), uintptr(n))
		}
		switch errno {
		case 0:
			return int(done), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
