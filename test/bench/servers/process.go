package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTime = 10 * time.Second // a server that does not listen by then never will
	stopTime  = 10 * time.Second // after this, one that was told to end is killed
	pause     = 10 * time.Millisecond
)

// Configurations of nats-server, in the directory of each process: these settings have no flag.
const (
	largeNATS = "large.conf"
	// SyncingNATS has JetStream sync each message before it is acknowledged.
	SyncingNATS = "syncing.conf"
)

var configurations = map[string]string{
	largeNATS:   "max_payload: 16777216\n",
	SyncingNATS: "jetstream { store_dir: jetstream, sync_interval: always }\n",
}

// Process is a running server. Whoever started it stops it.
type Process struct {
	Address string // host:port
	PID     int
	cancel  context.CancelFunc // asks it to end
	done    chan struct{}      // closed when it has ended
	said    *tail
	dir     string // its working directory, removed in the end
}

// Start runs a server on a free port and waits until it can be connected to.
func Start(ctx context.Context, s *Server) (*Process, error) { return StartWith(ctx, s, s.command) }

// StartLarge is Start for a load with messages of up to 16 MiB, which some servers refuse unless they are set up for it.
func StartLarge(ctx context.Context, s *Server) (*Process, error) {
	return StartWith(ctx, s, func(port string) []string { return append(s.command(port), s.large...) })
}

// StartWith is Start with arguments of the caller's own.
func StartWith(ctx context.Context, s *Server, arguments func(port string) []string) (*Process, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	p, err := Launch(ctx, net.JoinHostPort("127.0.0.1", port), func(ctx context.Context) *exec.Cmd {
		return exec.CommandContext(ctx, s.binary, arguments(port)...)
	})
	if err != nil {
		return nil, err
	}
	if err := p.Await(ctx); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// Launch starts a server with arguments of the caller's own, and does not wait: nodes of a cluster wait for each other.
func (s *Server) Launch(ctx context.Context, address string, arguments []string) (*Process, error) {
	return Launch(ctx, address, func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, s.binary, arguments...) })
}

// Launch starts a command in a directory of its own. It ends with ctx, by SIGTERM first.
func Launch(ctx context.Context, address string, command func(context.Context) *exec.Cmd) (*Process, error) {
	dir, err := os.MkdirTemp("", "conch-bench-")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := command(ctx)
	p := &Process{Address: address, cancel: cancel, done: make(chan struct{}), said: &tail{}, dir: dir}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, p.said, p.said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTime
	for name, text := range configurations {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			cancel()
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p.PID = cmd.Process.Pid
	go func() {
		_ = cmd.Wait() // how it ended does not matter; that it did before it was told to is seen by Running
		close(p.done)
	}()
	return p, nil
}

// Await connects until that works.
func (p *Process) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		sock, err := new(net.Dialer).DialContext(ctx, "tcp", p.Address)
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

// Running tells whether the process is still there; a server that is not has lost whatever was measured.
func (p *Process) Running() error {
	select {
	case <-p.done:
		return fmt.Errorf("the server died: %s", p.said)
	default:
		return nil
	}
}

// Stop ends the process and waits until it has ended.
func (p *Process) Stop() {
	p.cancel()
	<-p.done
	_ = os.RemoveAll(p.dir) // a temporary directory left behind harms nobody
}

// Kill ends the process as a crash does, and returns once it has ended. Stop is to be called all the same.
func (p *Process) Kill() error {
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// Usage is the CPU time the process has used, in user and kernel. The kernel counts it in ticks of 10 ms.
func (p *Process) Usage() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything; utime and stime are the 12th and 13th field after it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is cut short", p.PID)
	}
	user, errUser := strconv.ParseInt(fields[11], 10, 64)
	kernel, errKernel := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+kernel) * 10 * time.Millisecond, errors.Join(errUser, errKernel)
}

// Resident is the memory of the process that is in RAM, in bytes.
func (p *Process) Resident() (int64, error) { return p.memory("VmRSS:") }

// Peak is the most that Resident has been so far.
func (p *Process) Peak() (int64, error) { return p.memory("VmHWM:") }

func (p *Process) memory(field string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, field); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no %s", p.PID, field)
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
