package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/conchmq/conch/internal/bench"
)

const (
	startTime = 10 * time.Second // a server that does not listen by then never will
	stopTime  = 10 * time.Second // after this, one that was told to end is killed
	pause     = 10 * time.Millisecond
)

// process is a running server. Whoever started it stops it.
type process struct {
	address string
	pid     int
	dialect bench.Dialect      // to talk to it in
	cancel  context.CancelFunc // asks it to end
	done    chan struct{}      // closed when it has ended
	said    *tail
	dir     string // its working directory, removed in the end
}

// start runs a server on a free port and waits until it can be connected to.
func start(ctx context.Context, s *server) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p, err := launch(ctx, net.JoinHostPort("127.0.0.1", port), func(ctx context.Context) *exec.Cmd {
		return exec.CommandContext(ctx, s.binary, s.command(port)...)
	})
	if err != nil {
		return nil, err
	}
	if err := p.await(ctx); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// launch starts a command in a directory of its own. It ends with ctx, by SIGTERM first.
func launch(ctx context.Context, address string, command func(context.Context) *exec.Cmd) (*process, error) {
	dir, err := os.MkdirTemp("", "conch-peers-")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := command(ctx)
	p := &process{address: address, cancel: cancel, done: make(chan struct{}), said: &tail{}, dir: dir}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, p.said, p.said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p.pid = cmd.Process.Pid
	go func() {
		_ = cmd.Wait() // how it ended does not matter; that it did before it was told to is seen by running
		close(p.done)
	}()
	return p, nil
}

// await connects until that works.
func (p *process) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		sock, err := new(net.Dialer).DialContext(ctx, "tcp", p.address)
		if err == nil {
			return sock.Close()
		}
		select {
		case <-p.done:
			return fmt.Errorf("it ended at once: %s", p.said)
		case <-ctx.Done():
			return fmt.Errorf("it does not listen: %w; it said: %s", err, p.said)
		case <-time.After(pause):
		}
	}
}

// running tells whether the process is still there; a server that is not has lost whatever was measured.
func (p *process) running() error {
	select {
	case <-p.done:
		return fmt.Errorf("the server died: %s", p.said)
	default:
		return nil
	}
}

// stop ends the process and waits until it has ended.
func (p *process) stop() {
	p.cancel()
	<-p.done
	_ = os.RemoveAll(p.dir) // a temporary directory left behind harms nobody
}

// usage is the CPU time the process has used, in user and kernel. The kernel counts it in ticks of 10 ms.
func (p *process) usage() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything; utime and stime are the 12th and 13th field after it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is cut short", p.pid)
	}
	user, errUser := strconv.ParseInt(fields[11], 10, 64)
	kernel, errKernel := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+kernel) * 10 * time.Millisecond, errors.Join(errUser, errKernel)
}

// resident is the memory of the process that is in RAM, in bytes.
func (p *process) resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmRSS", p.pid)
}

// tail keeps the last of what a process writes, for the error message.
type tail struct {
	mu   sync.Mutex // the process may still write while it is read
	text bytes.Buffer
}

const tailSize = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Write(p)
	if extra := t.text.Len() - tailSize; extra > 0 {
		t.text.Next(extra)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	said := strings.Join(strings.Fields(t.text.String()), " ")
	if said == "" {
		return "(nothing was said)"
	}
	return said
}
