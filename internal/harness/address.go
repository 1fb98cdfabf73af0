package harness

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// ports from firstPort on, and below those from endPort on, are free for servers. Linux takes ports from 32768 on for connections, and for
// listeners that want any, other systems from 49152 on.
const firstPort, endPort = 10_000, 32_768

// Unreachable is an address on which nothing listens.
const Unreachable = "127.0.0.1:1"

// drawn counts the ports that this process has tried. It tries each port once, because a server may start long after its port is drawn.
var drawn atomic.Int64

// apart is the number of ports between the first ones of two processes whose ids follow each other: tests that run beside try others.
const apart = 509

// FreeAddress returns an address for a server that cannot choose one, or that starts more than once. Any connection of another test could
// take one that the kernel chooses, while the server does not run.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+(os.Getpid()*apart+int(drawn.Add(1)))%(endPort-firstPort))
		if l, err := net.Listen("tcp", address); err == nil {
			require.NoError(t, l.Close())
			return address
		}
	}
	require.Fail(t, "no address is free")
	return ""
}
