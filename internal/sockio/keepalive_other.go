//go:build !linux

package sockio

import (
	"net"
	"time"
)

// setUserTimeout has no counterpart here: the kernel's own patience is what there is.
func setUserTimeout(*net.TCPConn, time.Duration) {}
