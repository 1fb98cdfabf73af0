package faulty

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Islands are network namespaces, each joined to a namespace in their middle by a link of this process. They need root, iproute2 and nftables.
type Islands struct {
	prefix string
	links  []*PacketLink
	spaces []string // namespaces that exist; the first is the middle
}

// NewIslands makes so many. The seed is that of the links.
func NewIslands(count int, seed uint64) (*Islands, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("network namespaces need root")
	}
	for _, program := range []string{"ip", "nft", "sysctl"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, err
		}
	}
	s := &Islands{prefix: fmt.Sprintf("ci%d", os.Getpid())}
	err := s.space("middle")
	if err == nil {
		err = s.inside(0, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	}
	for i := 1; i <= count && err == nil; i++ {
		if err = s.space(fmt.Sprint(i)); err == nil {
			err = s.join(i, seed+uint64(i)) //nolint:gosec // small
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func run(args ...string) error {
	if out, err := exec.CommandContext(context.Background(), args[0], args[1:]...).CombinedOutput(); err != nil { //nolint:gosec // of this file
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (s *Islands) space(name string) error {
	name = s.prefix + "-" + name
	if err := run("ip", "netns", "add", name); err != nil {
		return err
	}
	s.spaces = append(s.spaces, name)
	return run("ip", "-n", name, "link", "set", "lo", "up") // else it does not reach itself
}

// inside runs a program in a namespace.
func (s *Islands) inside(i int, args ...string) error {
	return run(append([]string{"ip", "netns", "exec", s.spaces[i]}, args...)...)
}

// join makes the link of an island, with two devices: island is in it, middle in the middle.
func (s *Islands) join(i int, seed uint64) error {
	island, err := OpenTun(fmt.Sprintf("%s-%d", s.prefix, i))
	if err != nil {
		return err
	}
	middle, err := OpenTun(fmt.Sprintf("%s-m%d", s.prefix, i))
	if err != nil {
		return errors.Join(err, island.Close())
	}
	s.links = append(s.links, NewPacketLink(island, middle, seed))
	for _, args := range [][]string{
		{"link", "set", island.Name, "netns", s.spaces[i]},
		{"link", "set", middle.Name, "netns", s.spaces[0]},
		{"-n", s.spaces[i], "addr", "add", s.Address(i) + "/24", "dev", island.Name},
		{"-n", s.spaces[0], "addr", "add", fmt.Sprintf("10.204.%d.1/24", i), "dev", middle.Name},
		{"-n", s.spaces[i], "link", "set", island.Name, "up"},
		{"-n", s.spaces[0], "link", "set", middle.Name, "up"},
		{"-n", s.spaces[i], "route", "add", "default", "dev", island.Name},
	} {
		if err := run(append([]string{"ip"}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// Address is that of an island. They count from 1.
func (s *Islands) Address(i int) string { return fmt.Sprintf("10.204.%d.2", i) }

// Link is that of an island.
func (s *Islands) Link(i int) *PacketLink { return s.links[i-1] }

// Command is a program that runs on an island.
func (s *Islands) Command(i int, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(context.Background(), "ip", append([]string{"netns", "exec", s.spaces[i], name}, args...)...) //nolint:gosec // of tests
}

// Inside calls f on an island: the sockets that it opens are there. The thread that does so ends with it.
func (s *Islands) Inside(i int, f func() error) error {
	space, err := os.Open("/run/netns/" + s.spaces[i])
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the runtime then ends the thread
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return errors.Join(<-done, space.Close())
}

// Block makes an island lose all that another one sends. The other direction works.
func (s *Islands) Block(island, sender int) error {
	rules := fmt.Sprintf("add table inet conch; add chain inet conch input { type filter hook input priority 0; }; add rule inet conch input ip saddr %s drop", s.Address(sender))
	return s.inside(island, "nft", rules)
}

// Unblock ends what Block did.
func (s *Islands) Unblock(island int) error {
	return s.inside(island, "nft", "add table inet conch; delete table inet conch")
}

// Down takes the device of an island down, and Up brings it back.
func (s *Islands) Down(i int) error {
	return run("ip", "-n", s.spaces[i], "link", "set", fmt.Sprintf("%s-%d", s.prefix, i), "down")
}

// Up brings the device of an island up.
func (s *Islands) Up(i int) error {
	name := fmt.Sprintf("%s-%d", s.prefix, i)
	if err := run("ip", "-n", s.spaces[i], "link", "set", name, "up"); err != nil {
		return err
	}
	return run("ip", "-n", s.spaces[i], "route", "replace", "default", "dev", name)
}

// Close removes all. What runs on the islands must have ended.
func (s *Islands) Close() error {
	var errs []error
	for _, l := range s.links {
		errs = append(errs, l.Close())
	}
	for _, name := range s.spaces {
		errs = append(errs, run("ip", "netns", "del", name))
	}
	return errors.Join(errs...)
}
