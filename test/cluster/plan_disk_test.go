//go:build cluster

package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stop stops a node in good order: its close notice names another one.
func (p *plan) stop(n *node) (func() error, error) {
	if err := n.awaitReady(); err != nil {
		return nil, err
	}
	sock, err := n.dialFor(2*time.Second, n.address())
	if err != nil {
		return nil, err
	}
	defer func() { _ = sock.Close() }() // all is read by then
	if _, err := io.WriteString(sock, "SUB nothing\n"); err != nil {
		return nil, err
	}
	if err := sock.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(sock)
	if line, err := lines.ReadString('\n'); err != nil || line != "OK SUB nothing\n" {
		return nil, fmt.Errorf("the reply to SUB is %q: %w", line, err)
	}
	if err := n.end(syscall.SIGTERM); err != nil {
		return nil, err
	}
	if n.err != nil {
		return nil, fmt.Errorf("%s ends with %w", n.name, n.err)
	}
	rest, err := io.ReadAll(lines)
	if named := p.named(string(rest)); named == nil || named == n {
		err = errors.Join(err, fmt.Errorf("the close notice of %s names no other node: %q", n.name, rest))
	}
	return func() error { return n.start(n.replaced > 0) }, err
}

// named returns the node that a close notice names.
func (p *plan) named(notice string) *node {
	for _, n := range p.all {
		if strings.Contains(notice, "next="+n.address()) {
			return n
		}
	}
	return nil
}

// fullDisk leaves a node no space. It may end for that.
func (p *plan) fullDisk(n *node) (func() error, error) {
	n.mayFail.Store(true)
	name := filepath.Join(n.disk, "filler")
	filler, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(filler, endless{})
	if !errors.Is(err, syscall.ENOSPC) {
		return nil, errors.Join(fmt.Errorf("the disk is not full: %w", err), filler.Close())
	}
	return func() error {
		if err := errors.Join(filler.Close(), os.Remove(name)); err != nil {
			return err
		}
		return p.restart(n)
	}, nil
}

// endless is a reader of zeros.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// restart starts a node again if it has ended by itself. Its disk works again.
func (p *plan) restart(n *node) error {
	err := await(n.name+" publishes, or has ended", func() bool {
		_, err := n.request("PUBLISH", "x", "a message")
		return err == nil || n.hasEnded()
	})
	n.mayFail.Store(false)
	if err != nil || !n.hasEnded() {
		return err
	}
	p.t.Logf("%s has ended: %v", n.name, n.err)
	return n.start(n.replaced > 0)
}

// flipBits changes a bit in a file of a node that does not run. If it does not start then, it is replaced by one with an empty directory. It may
// start with damage in front of its checkpoint: what finds that is conch log verify.
func (p *plan) flipBits(n *node) (func() error, error) {
	if err := n.end(syscall.SIGKILL); err != nil {
		return nil, err
	}
	for range 1 + p.random.IntN(3) {
		if err := p.flip(n); err != nil {
			return nil, err
		}
	}
	verified, damage := exec.Command(binary, "log", "verify", n.dir()).CombinedOutput()
	return func() error {
		n.mayFail.Store(true)
		if err := n.start(n.replaced > 0); err != nil {
			return err
		}
		select {
		case <-n.ready:
			if damage == nil {
				n.mayFail.Store(false)
				return nil
			}
			p.t.Logf("%s has started with damage: %v: %s", n.name, damage, verified)
			if err := n.end(syscall.SIGKILL); err != nil {
				return err
			}
			n.mayFail.Store(false)
			return p.replace(n)
		case <-n.ended:
		case <-time.After(patience):
			return fmt.Errorf("%s neither starts with flipped bits nor ends", n.name)
		}
		n.mayFail.Store(false)
		if n.err == nil {
			return fmt.Errorf("%s has ended without an error", n.name)
		}
		return p.replace(n)
	}, nil
}

// flip changes one bit of one file, where it has data: mostly of a log.
func (p *plan) flip(n *node) error {
	suffix := ".log"
	if p.random.IntN(5) == 0 {
		suffix = ""
	}
	var names []string
	err := filepath.WalkDir(n.dir(), func(name string, d fs.DirEntry, err error) error {
		if base := filepath.Base(name); err == nil && d.Type().IsRegular() && base != "lock" && !strings.HasPrefix(base, "reserve") && strings.HasSuffix(base, suffix) {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	name := names[p.random.IntN(len(names))]
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	for range 1000 { // most of a file may be zeros
		if len(data) == 0 {
			break
		}
		if at := p.random.IntN(len(data)); data[at] != 0 {
			data[at] ^= 1 << p.random.IntN(8)
			p.t.Logf("a bit of %s at %d", name, at)
			return os.WriteFile(name, data, 0o600)
		}
	}
	return nil
}

// replace removes a node from the cluster, and adds it anew with an empty directory.
func (p *plan) replace(n *node) error {
	p.t.Logf("%s is replaced: %v", n.name, n.err)
	n.replaced++
	if err := p.change("NODE", "REMOVE", n.name); err != nil {
		return err
	}
	if err := os.RemoveAll(n.dir()); err != nil {
		return err
	}
	if err := n.start(true); err != nil {
		return err
	}
	if err := p.change("NODE", "ADD", n.name, n.between()); err != nil {
		return err
	}
	if err := n.awaitReady(); err != nil {
		return err
	}
	return p.change("NODE", "PROMOTE", n.name)
}

// change has the leader change the members.
func (p *plan) change(command ...string) error {
	var last error
	err := await(strings.Join(command, " "), func() bool {
		leader := p.leader()
		if leader == nil {
			return false
		}
		_, last = leader.request(command...)
		return last == nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}
