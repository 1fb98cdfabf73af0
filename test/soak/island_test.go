//go:build soak

package soak

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// island is a network namespace, joined to this one by a pair of virtual interfaces whose far end can be taken down: then
// packets are lost in both directions, and neither side is told.
type island struct {
	name string // of the namespace
	host string // the address of this side
	file *os.File
}

// newIsland makes one. It needs root and iproute2. number tells islands of one run apart.
func newIsland(number int) (*island, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("not root")
	}
	pid := os.Getpid()
	name := fmt.Sprintf("conch-soak-%d-%d", pid, number)
	here, there := fmt.Sprintf("cs%d-%d", pid%100_000, number), "outside"
	net := fmt.Sprintf("10.203.%d", (pid*2+number)%256)
	i := &island{name: name, host: net + ".1"}
	for _, args := range [][]string{
		{"netns", "add", name},
		{"link", "add", here, "type", "veth", "peer", "name", there, "netns", name},
		{"addr", "add", i.host + "/24", "dev", here},
		{"link", "set", here, "up"},
		{"-n", name, "addr", "add", net + ".2/24", "dev", there},
	} {
		if err := ip(args...); err != nil {
			i.remove()
			return nil, err
		}
	}
	var err error
	if i.file, err = os.Open("/run/netns/" + name); err != nil {
		i.remove()
		return nil, err
	}
	if err := i.up(); err != nil {
		i.remove()
		return nil, err
	}
	return i, nil
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, out)
	}
	return nil
}

// up brings the link up, with the route by which all addresses of this side are reached: it goes when the link goes.
func (i *island) up() error {
	if err := ip("-n", i.name, "link", "set", "outside", "up"); err != nil {
		return err
	}
	return ip("-n", i.name, "route", "replace", "default", "via", i.host)
}

func (i *island) down() error { return ip("-n", i.name, "link", "set", "outside", "down") }

// remove takes the namespace away, and with it the pair of interfaces.
func (i *island) remove() {
	if i.file != nil {
		_ = i.file.Close() // it was read from by the kernel alone
	}
	_ = ip("netns", "del", i.name) // what cannot be removed stays behind; the name tells where it is from
}

// dial connects from the island. A thread belongs to a namespace, so it is done on one that ends with this.
func (i *island) dial(addr string) (net.Conn, error) {
	type outcome struct {
		sock net.Conn
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the runtime then ends the thread
		if err := unix.Setns(int(i.file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- outcome{nil, err}
			return
		}
		sock, err := net.DialTimeout("tcp", addr, 5*time.Second) // the link may be down
		done <- outcome{sock, err}
	}()
	o := <-done
	return o.sock, o.err
}
