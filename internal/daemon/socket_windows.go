package daemon

import (
	"fmt"
	"io/fs"
	"net"
)

// listenUnix refuses: the mode of a socket's file bounds nothing here, and every program on the machine could connect.
func listenUnix(path string, _ fs.FileMode) (net.Listener, error) {
	return nil, fmt.Errorf("cannot listen on the Unix socket %s: on Windows its mode would bound nothing; leave unix-socket out, and listen on 127.0.0.1", path)
}
