package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"

	"github.com/conchmq/conch/internal/bench"
	"github.com/conchmq/conch/test/bench/servers"
)

// relayVerb makes this program be the relay. It gets its listener as file 3, so that nobody must wait for it.
const relayVerb = "be-the-relay"

// startRelay runs the relay for a load, as a process of its own: its CPU time is not the generator's.
func startRelay(ctx context.Context, l bench.Load) (*servers.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer func() { _ = listener.Close() }() // the child has its own copy
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	l.Address, l.Dialect = listener.Addr().String(), bench.Raw
	if err := l.Check(); err != nil {
		return nil, err
	}
	return servers.Launch(ctx, l.Address, func(ctx context.Context) *exec.Cmd {
		cmd := exec.CommandContext(ctx, self, relayVerb, strconv.Itoa(l.Subscribers), strconv.Itoa(bench.FrameLength(l)))
		cmd.ExtraFiles = []*os.File{file}
		return cmd
	})
}

// beRelay is the child's whole life.
func beRelay(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%s is for this program alone", relayVerb)
	}
	subscribers, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	frame, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	return bench.Relay(ctx, listener, subscribers, frame)
}
