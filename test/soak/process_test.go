//go:build soak

package soak

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// process is one run of the binary.
type process struct {
	cmd        *exec.Cmd
	addr       string
	tlsAddr    string // empty if it does not listen for TLS
	httpAddr   string // empty if it does not listen for HTTP
	httpsAddr  string // empty if it does not listen for HTTP over TLS
	ended      chan struct{}
	err        error        // of its end; to be read when ended is closed
	expected   atomic.Bool  // somebody is about to end it
	pauses     atomic.Int64 // of accepting
	goroutines atomic.Int64 // in the dump that SIGQUIT brings
	report     *report
}

// launch starts the binary, behind a shell command such as a ulimit, and waits until it listens.
func launch(r *report, before string, args ...string) (*process, error) {
	script := before + `exec "$0" "$@"`
	p := &process{ended: make(chan struct{}), report: r}
	p.cmd = exec.Command("sh", append([]string{"-c", script, binary}, args...)...)
	p.cmd.Env = append(os.Environ(), "GOTRACEBACK=all")
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	listening := make(chan struct{})
	go func() {
		defer close(p.ended)
		p.read(bufio.NewScanner(stderr), listening)
		p.err = p.cmd.Wait()
		if !p.expected.Load() {
			r.fail("conch ended by itself: %v", p.err)
		}
	}()
	select {
	case <-listening:
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("conch did not start: %w", p.err)
	case <-time.After(patience):
		return nil, errors.New("conch does not say that it listens")
	}
}

// read follows the log. Whatever looks like a defect fails the run.
func (p *process) read(lines *bufio.Scanner, listening chan<- struct{}) {
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var entry struct {
			Level, Message, Address string
			TLSAddress              string `json:"tls-address"`
			HTTP, HTTPS             string
			Panic                   string
		}
		text := lines.Text()
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			if strings.HasPrefix(text, "goroutine ") {
				p.goroutines.Add(1)
			}
			if strings.HasPrefix(text, "panic:") || strings.HasPrefix(text, "fatal error:") || strings.Contains(text, "DATA RACE") {
				p.report.fail("conch: %s", text)
			}
			continue
		}
		switch {
		case entry.Message == "listening":
			p.addr, p.tlsAddr, p.httpAddr, p.httpsAddr = entry.Address, entry.TLSAddress, entry.HTTP, entry.HTTPS
			close(listening)
		case strings.HasPrefix(entry.Message, "cannot accept"):
			p.pauses.Add(1)
		case entry.Level == "error", entry.Panic != "":
			p.report.fail("conch logs: %.500s", text)
		}
	}
}

// end sends a signal and waits for the process to end.
func (p *process) end(sig syscall.Signal) error {
	p.expected.Store(true)
	if err := p.cmd.Process.Signal(sig); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return p.err
	case <-time.After(patience):
		p.report.fail("conch does not end on %v", sig)
		_ = p.cmd.Process.Kill() // it is there, or it has just ended
		<-p.ended
		return nil
	}
}

// peak is the most memory that the process has had resident, in MiB.
func (p *process) peak() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(after)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(fields[0], 10, 64) // 0 fails the row
	return kib >> 10
}

// target is the server that all load goes to. It is restarted on the same addresses.
type target struct {
	report *report
	args   []string
	socket string // the Unix socket; empty if it has none
	// generation grows before the server is ended, so that whoever is cut off can tell why, and again when the next one
	// listens: it is odd while there may be none.
	generation atomic.Int64

	mu      sync.Mutex
	process *process
}

func (t *target) current() *process {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.process
}

// restart ends the server with a signal and starts it again on the same addresses.
func (t *target) restart(sig syscall.Signal) {
	p := t.current()
	t.account(p)
	t.generation.Add(1)
	defer t.generation.Add(1)
	if err := p.end(sig); sig == syscall.SIGTERM && err != nil {
		t.report.fail("conch ends with %v after SIGTERM", err)
	}
	args := append([]string{p.addr}, t.args...)
	if p.tlsAddr != "" {
		args = append(args, "--tls-listen", p.tlsAddr, "--https", p.httpsAddr)
	}
	args = append(args, "--http", p.httpAddr)
	next, err := launch(t.report, "", args...)
	if err != nil {
		t.report.fail("restart: %v", err)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.process = next
}

// account takes over what a run has counted, before it ends.
func (t *target) account(p *process) {
	t.report.most(rowPeak, p.peak())
	info, err := inform(p.addr)
	if err != nil {
		t.report.fail("INFO: %v", err)
		return
	}
	t.report.add(rowEndedBySlow, info["client_output_buffer_limit_disconnections"]+info["ended_stalled"])
	if info["ended_panic"] != 0 {
		t.report.fail("%d connections ended for a defect", info["ended_panic"])
	}
}

// inform reads the numbers of INFO.
func inform(addr string) (map[string]int64, error) {
	sock, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	w := newWire(sock)
	defer w.shut()
	frame, err := w.ask("*1\r\n$4\r\nINFO\r\n")
	if err != nil {
		return nil, err
	}
	info := make(map[string]int64)
	for _, line := range strings.Split(frame, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			info[name] = n
		}
	}
	return info, nil
}
