package config

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/conchmq/conch/internal/cluster"
	"github.com/conchmq/conch/internal/tlsfiles"
)

// Cluster is what makes this a node of several.
type Cluster struct {
	Name      string // empty for a node alone
	Listen    string
	Bootstrap []cluster.Member
	bootstrap string // as it was written
	Election  time.Duration
	Timeout   time.Duration
	Clients   string         // where clients reach this node; empty: it is not told
	TLS       tlsfiles.Files // of both directions; empty: nodes trust each other
}

// setBootstrap reads the nodes that a cluster begins with: NAME=HOST:PORT, by commas.
func setBootstrap(c *Config, text string) error {
	c.Cluster.bootstrap, c.Cluster.Bootstrap = text, nil
	if text == "" {
		return nil
	}
	for one := range strings.SplitSeq(text, ",") {
		name, address, ok := strings.Cut(strings.TrimSpace(one), "=")
		if _, _, err := net.SplitHostPort(address); !ok || name == "" || err != nil {
			return fmt.Errorf("expected NAME=HOST:PORT for each node, by commas, not %q", one)
		}
		c.Cluster.Bootstrap = append(c.Cluster.Bootstrap, cluster.Member{Name: name, Address: address, Voter: true})
	}
	return nil
}

// setClusterClients reads an address that clients can dial.
func setClusterClients(c *Config, text string) error {
	c.Cluster.Clients = text
	if host, _, err := net.SplitHostPort(text); text != "" && (err != nil || host == "") {
		return fmt.Errorf("expected HOST:PORT, as clients dial it, not %q", text)
	}
	return nil
}

// TLSFiles are the files of TLS between nodes; false if there are none.
func (c *Cluster) TLSFiles() (f tlsfiles.Files, ok bool) {
	f = c.TLS
	f.Prefix = "cluster-"
	return f, f.Cert != ""
}

// Address is where other nodes dial this one.
func (c *Cluster) Address() string {
	for _, m := range c.Bootstrap {
		if m.Name == c.Name {
			return m.Address
		}
	}
	return c.Listen
}

// checkCluster refuses settings that do not go together.
func (c *Config) checkCluster() error {
	x := &c.Cluster
	switch {
	case x.Name == "" && (x.Listen != "" || len(x.Bootstrap) > 0 || x.Clients != ""):
		return errors.New("cluster-listen, cluster-bootstrap and cluster-clients have no effect without cluster-name, the name of this node")
	case x.Name == "":
		return nil
	case x.Listen == "":
		return errors.New("cluster-name needs cluster-listen, the address at which other nodes reach this one")
	case c.Store.Dir == "":
		return errors.New("cluster-name needs dir: a node keeps on disk what it has answered")
	case (x.TLS.Cert == "") != (x.TLS.Key == "") || (x.TLS.Cert == "") != (x.TLS.ClientCA == ""):
		return errors.New("cluster-tls-cert, cluster-tls-key and cluster-tls-client-ca go together: each node shows its certificate, and verifies the others'")
	case x.TLS.Cert == "" && !cluster.IsLoopback(x.Listen):
		return errors.New("cluster-listen is reached from other machines, where nodes must know each other: give cluster-tls-cert, cluster-tls-key and cluster-tls-client-ca")
	}
	return nil
}
