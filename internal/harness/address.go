package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// ports from firstPort on, and below those from endPort on, are free for servers. Linux takes ports from 32768 on for connections, and for
// listeners that want any, other systems from 49152 on.
const firstPort, endPort = 10_000, 32_768

// Unreachable is an address on which nothing listens.
const Unreachable = "127.0.0.1:1"

// FreeAddress returns an address for a server that cannot choose one, or that starts more than once. Any connection of another test could
// take one that the kernel chooses, while the server does not run.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(endPort-firstPort)) // without a seed: tests that run beside get others
		if l, err := net.Listen("tcp", address); err == nil {
			require.NoError(t, l.Close())
			return address
		}
	}
	require.Fail(t, "no address is free")
	return ""
}
