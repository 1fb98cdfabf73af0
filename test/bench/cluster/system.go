package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/conchmq/conch/test/bench/servers"
)

// system is what is measured: nodes of a server, set up in one way.
type system struct {
	name  string // as the tables show it
	nodes int
	nats  bool
	// sync is sync_interval of JetStream, or fsync of a conch that runs alone and stores. Empty: the default, or nothing is stored.
	sync string
}

const (
	conchThree = "conch, 3 nodes"
	conchOne   = "conch, 1 node"
	natsAlways = "JetStream R3, always"
	natsThree  = "JetStream R3, default"
)

var (
	three       = system{name: conchThree, nodes: 3}
	one         = system{name: conchOne, nodes: 1, sync: "always"}
	oneInMemory = system{name: conchOne, nodes: 1}
	jetAlways   = system{name: natsAlways, nodes: 3, nats: true, sync: "always"}
	jetStream   = system{name: natsThree, nodes: 3, nats: true}
)

// group is a system that runs.
type group struct {
	system
	dir   string
	nodes []*node
}

// node is one process of it. It can be started again, in the directory that it had.
type node struct {
	*servers.Process
	server    *servers.Server
	address   string // of clients
	arguments []string
}

// patience is how long a server may take for one answer.
const patience = 60 * time.Second

// start starts a system, and returns once all its nodes serve clients. The caller stops it, with an error too.
func start(ctx context.Context, s system) (*group, error) {
	dir, err := os.MkdirTemp("", "conch-cluster-")
	if err != nil {
		return nil, err
	}
	g := &group{system: s, dir: dir}
	clients, err := ports(s.nodes)
	if err != nil {
		return g, err
	}
	among, err := ports(s.nodes)
	if err != nil {
		return g, err
	}
	for i := range s.nodes {
		n := &node{address: clients[i], server: servers.Named(servers.Conch)}
		switch {
		case s.nats:
			n.server = servers.Named("nats")
			n.arguments, err = g.natsArguments(i, clients, among)
		default:
			n.arguments = g.conchArguments(i, clients, among)
		}
		if err == nil {
			err = n.launch(ctx)
		}
		if err != nil {
			return g, err
		}
		g.nodes = append(g.nodes, n)
	}
	return g, g.await(ctx)
}

func ports(n int) (all []string, err error) {
	for range n {
		port, err := servers.FreePort()
		if err != nil {
			return nil, err
		}
		all = append(all, net.JoinHostPort("127.0.0.1", port))
	}
	return all, nil
}

func nodeName(i int) string { return fmt.Sprintf("n%d", i+1) }

// conchArguments are those of a node, or of a conch alone.
func (g *group) conchArguments(i int, clients, among []string) []string {
	all := []string{clients[i], "--log-level", "warn", "--slow-hard", "64mb", "--slow-soft", "64mb"}
	dir := filepath.Join(g.dir, nodeName(i))
	switch {
	case g.system.nodes > 1:
		var members []string
		for i, address := range among {
			members = append(members, nodeName(i)+"="+address)
		}
		return append(all, "--dir", dir, "--durable", "d.*", "--cluster-name", nodeName(i), "--cluster-listen", among[i], "--cluster-bootstrap", strings.Join(members, ","))
	case g.sync != "":
		return append(all, "--dir", dir, "--durable", "d.*", "--fsync", g.sync)
	}
	return all
}

// natsArguments writes the configuration of a node.
func (g *group) natsArguments(i int, clients, among []string) ([]string, error) {
	var routes []string
	for _, address := range among {
		routes = append(routes, "nats://"+address)
	}
	interval := ""
	if g.sync != "" {
		interval = ", sync_interval: " + g.sync
	}
	text := fmt.Sprintf("server_name: %s\nlisten: %q\njetstream { store_dir: %q%s }\ncluster { name: c, listen: %q, routes: [%s] }\n",
		nodeName(i), clients[i], filepath.Join(g.dir, nodeName(i)), interval, among[i], strings.Join(routes, ", "))
	file := filepath.Join(g.dir, nodeName(i)+".conf")
	return []string{"-c", file}, os.WriteFile(file, []byte(text), 0o600)
}

func (n *node) launch(ctx context.Context) (err error) {
	n.Process, err = n.server.Launch(ctx, n.address, n.arguments)
	return err
}

// restart starts a node that was killed.
func (n *node) restart(ctx context.Context) error {
	n.Stop()
	return n.launch(ctx)
}

// await returns once all nodes serve clients. JetStream has its stream then.
func (g *group) await(ctx context.Context) error {
	for _, n := range g.nodes {
		if err := n.Await(ctx); err != nil {
			return err
		}
		if !g.nats {
			if err := n.awaitPong(ctx); err != nil {
				return err
			}
		}
	}
	if g.nats {
		return g.createStream(ctx)
	}
	return nil
}

// stop ends all nodes, and removes what they have stored.
func (g *group) stop() {
	for _, n := range g.nodes {
		n.Stop()
	}
	_ = os.RemoveAll(g.dir) // a temporary directory left behind harms nobody
}

// usage is the CPU time that all nodes have used.
func (g *group) usage() (sum time.Duration, err error) {
	for _, n := range g.nodes {
		one, e := n.Usage()
		sum, err = sum+one, errors.Join(err, e)
	}
	return sum, err
}

// awaitPong returns once a conch serves clients: a node that catches up refuses PING.
func (n *node) awaitPong(ctx context.Context) error {
	return until(ctx, func() error {
		w, err := dialRESP(n.address)
		if err != nil {
			return err
		}
		defer w.close()
		_, err = w.request("PING")
		return err
	})
}

// until calls f until it has no error, or it takes too long.
func until(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// leader is the node of a conch that leads.
func (g *group) leader(ctx context.Context) (leader *node, err error) {
	err = until(ctx, func() error {
		for _, n := range g.nodes {
			w, err := dialRESP(n.address)
			if err != nil {
				continue
			}
			status, err := w.request("NODE", "STATUS")
			w.close()
			if err == nil && pairs(status)["role"] == "leader" {
				leader = n
				return nil
			}
		}
		return errors.New("no node leads")
	})
	return leader, err
}

// pairs are the names and texts of a map.
func pairs(flat []string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(flat); i += 2 {
		m[flat[i]] = flat[i+1]
	}
	return m
}
