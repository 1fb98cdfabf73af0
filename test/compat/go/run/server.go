package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/conchmq/conch/test/compat/go/check"
)

// start runs what the clients use, until stop. Directories are in temp.
func (o *options) start(temp string) (address string, stop func(), err error) {
	address, err = freeAddress()
	switch {
	case err != nil:
		return "", nil, err
	case o.redis:
		_, port, _ := net.SplitHostPort(address) // a listener's own address
		stop, err = startAll(address, exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"))
	case o.cluster:
		stop, err = startCluster(o.server, address, temp)
	default:
		stop, err = startAll(address, exec.Command(o.server, address, "--log-level", "warn"))
	}
	return address, stop, err
}

func freeAddress() (string, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return free.Addr().String(), free.Close() // only its port is wanted
}

// startCluster runs three nodes. Clients use the second one, which need not lead, and wait when another one is elected: nodes may have no processor
// for longer than a leader may be silent.
func startCluster(server, address, temp string) (stop func(), err error) {
	names := []string{"a", "b", "c"}
	var listen, bootstrap []string
	for _, name := range names {
		one, err := freeAddress()
		if err != nil {
			return nil, err
		}
		listen, bootstrap = append(listen, one), append(bootstrap, name+"="+one)
	}
	var all []*exec.Cmd
	for i, name := range names {
		clients := address
		if i != 1 {
			clients = "127.0.0.1:0"
		}
		all = append(all, exec.Command(server, clients, "--log-level", "error", "--dir", filepath.Join(temp, "node-"+name), "--cluster-name", name,
			"--cluster-listen", listen[i], "--cluster-bootstrap", strings.Join(bootstrap, ","), "--cluster-timeout", check.Patience.String()))
	}
	return startAll(address, all...)
}

// startAll runs processes until stop, and waits until one of them serves clients at an address.
func startAll(address string, all ...*exec.Cmd) (stop func(), err error) {
	logs := make([]bytes.Buffer, len(all))
	started := 0
	stop = func() {
		for i, command := range all[:started] {
			_ = command.Process.Signal(syscall.SIGTERM) // it may have ended already
			late := time.AfterFunc(check.Patience, func() { _ = command.Process.Kill() })
			_ = command.Wait() // how it ends is not what is looked at here
			late.Stop()
			fmt.Fprint(os.Stderr, logs[i].String())
		}
	}
	for i, command := range all {
		command.Stdout, command.Stderr = &logs[i], &logs[i]
		if err := command.Start(); err != nil {
			stop()
			return nil, err
		}
		started++
	}
	err = check.Eventually("the server at "+address, func() (bool, error) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false, nil
		}
		defer func() { _ = conn.Close() }() // it has been read from
		reply := make([]byte, len("+PONG"))
		_ = conn.SetDeadline(time.Now().Add(check.Patience)) // a read would fail too
		if _, err := conn.Write([]byte("PING\r\n")); err == nil {
			_, _ = io.ReadFull(conn, reply) // what is missing shows below
		}
		return string(reply) == "+PONG", nil // a node that catches up has another answer
	})
	if err != nil {
		stop()
	}
	return stop, err
}
