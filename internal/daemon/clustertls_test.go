package daemon

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/conchmq/conch/internal/harness"
)

// tlsFlags issues a certificate for a node, and returns the flags that name its files.
func tlsFlags(t *testing.T, issuer, trusted *harness.Authority) []string {
	dir := t.TempDir()
	cert, key := issuer.Valid(t, "node").Write(t, dir)
	ca := filepath.Join(dir, "ca.crt")
	harness.WriteFile(t, ca, trusted.PEM)
	return []string{"--cluster-tls-cert=" + cert, "--cluster-tls-key=" + key, "--cluster-tls-client-ca=" + ca}
}

// Nodes with certificates of one authority are a cluster. One with a certificate of another is not let in, by none of them.
func TestNodesVerifyEachOther(t *testing.T) {
	c := newNodes(t, "a", "b", "c")
	trusted := harness.NewAuthority(t)
	c.start("a", tlsFlags(t, trusted, trusted)...)
	c.start("b", tlsFlags(t, trusted, trusted)...)
	c.start("c", tlsFlags(t, harness.NewAuthority(t), trusted)...)
	a := c.dial("a")
	a.Send("XADD s 1-1 n 1\r\n")
	a.Expect("$3\r\n1-1\r\n")
	c.eventually("b", "XLEN s", ":1\r\n")
	c.running["a"].Log.Await(t, "a problem between the nodes of the cluster", 1)
	c.running["c"].Signals <- syscall.SIGTERM // it has not caught up, and serves nobody
	if err := c.running["c"].wait(); err != nil {
		t.Fatal(err)
	}
}
