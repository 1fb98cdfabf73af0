//go:build cluster

package cluster

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/conchmq/conch/internal/harness"
)

// node is one conch on an island. Its address and its directory stay over restarts. The goroutine of the plan owns it, but for what has a lock.
type node struct {
	*nodes
	name   string
	island int
	host   string
	disk   string // where its directory is, which has a limit of its own
	log    *os.File
	*process
	replaced int // times with an empty directory

	mayFail atomic.Bool // a fault of its disk is on: errors in the log are right, and so is an end
	mu      sync.Mutex  // guards wrong
	wrong   []string    // lines of the log that are defects
}

// process is one run of a node.
type process struct {
	cmd    *exec.Cmd
	ready  chan struct{} // closed once it has caught up
	ended  chan struct{}
	err    error       // of its end, when ended is closed
	wanted atomic.Bool // its end
}

func (n *node) address() string { return n.host + ":8889" }

// between is where other nodes reach it.
func (n *node) between() string { return n.host + ":9001" }

func (n *node) dir() string { return filepath.Join(n.disk, "data") }

// start starts it. A node that joins a cluster has no bootstrap.
func (n *node) start(joins bool) error {
	args := append([]string{
		"serve", n.address(), "--dir", n.dir(), "--cluster-name", n.name, "--cluster-listen", n.between(), "--cluster-clients", n.address(),
		"--protected-mode=false", "--log-format=json",
	}, n.flags(n)...)
	if !joins {
		args = append(args, "--cluster-bootstrap", n.members())
	}
	p := &process{cmd: n.islands.Command(n.island, binary, args...), ready: make(chan struct{}), ended: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	n.process = p
	go func() {
		defer close(p.ended)
		n.read(p, io.TeeReader(stderr, n.log))
		p.err = p.cmd.Wait()
		if !p.wanted.Load() && !n.mayFail.Load() {
			n.defect(fmt.Sprintf("conch has ended by itself: %v", p.err))
		}
	}()
	return nil
}

// read follows the log of a run.
func (n *node) read(p *process, log io.Reader) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var entry struct{ Level, Message, Panic string }
		text := lines.Text()
		if json.Unmarshal(lines.Bytes(), &entry) != nil {
			if strings.HasPrefix(text, "panic:") || strings.HasPrefix(text, "fatal error:") || strings.Contains(text, "DATA RACE") {
				n.defect(text)
			}
			continue
		}
		switch {
		case entry.Message == "this node has caught up with the cluster":
			select {
			case <-p.ready: // it started again within the process
			default:
				close(p.ready)
			}
		case entry.Panic != "", entry.Level == "error" && !n.mayFail.Load():
			n.defect(text)
		}
	}
	_, _ = io.Copy(io.Discard, log) // a line was too long; the process must not wait for its log
}

func (n *node) defect(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wrong = append(n.wrong, fmt.Sprintf("%s: %.600s", n.name, text))
}

func (n *node) defects() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.wrong
}

func (n *node) hasEnded() bool {
	select {
	case <-n.ended:
		return true
	default:
		return false
	}
}

// signal sends a signal to the process, which may have ended.
func (n *node) signal(s syscall.Signal) error {
	err := n.cmd.Process.Signal(s)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// end ends the process and waits for that.
func (n *node) end(s syscall.Signal) error {
	n.wanted.Store(true)
	if err := n.signal(s); err != nil {
		return err
	}
	select {
	case <-n.ended:
		return nil
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("%s does not end on %s", n.name, s), n.signal(syscall.SIGQUIT)) // its stacks are in the log then
	}
}

// awaitReady waits until the node has caught up.
func (n *node) awaitReady() error {
	select {
	case <-n.ready:
		return nil
	case <-n.ended:
		return fmt.Errorf("%s has ended: %w", n.name, n.err)
	case <-time.After(patience):
		return fmt.Errorf("%s has not caught up in %s", n.name, patience)
	}
}

// errReply is the reply of a node that refuses.
var errReply = errors.New("an error reply")

// request sends a command over a connection of its own, and returns the reply as it was sent.
func (n *node) request(args ...string) (string, error) {
	const limit = 5 * time.Second
	sock, err := n.dialFor(limit, n.address())
	if err != nil {
		return "", err
	}
	defer func() { _ = sock.Close() }() // all is read by then
	if err := sock.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(sock, harness.RESP(args...)); err != nil {
		return "", err
	}
	frame, err := harness.ReadFrame(bufio.NewReader(sock))
	if bytes.HasPrefix(frame, []byte("-")) {
		return "", fmt.Errorf("%w: %s", errReply, frame)
	}
	return string(frame), err
}

// status returns a number or a text of NODE STATUS.
func (n *node) status(name string) string {
	frame, err := n.request("NODE", "STATUS")
	if err != nil {
		return ""
	}
	var texts []string // names and values take turns
	lines := strings.Split(frame, "\r\n")
	for i := 1; i < len(lines)-1; i++ {
		if number, ok := strings.CutPrefix(lines[i], ":"); ok {
			texts = append(texts, number)
			continue
		}
		i++ // behind the length
		texts = append(texts, lines[i])
	}
	for i := 0; i+1 < len(texts); i += 2 {
		if texts[i] == name {
			return texts[i+1]
		}
	}
	return ""
}
