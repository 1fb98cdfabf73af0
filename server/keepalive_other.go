//go:build !linux

package server

import (
	"net"
	"time"
)

// giveUp has no counterpart here: the kernel's own patience is what there is.
func giveUp(*net.TCPConn, time.Duration) {}
