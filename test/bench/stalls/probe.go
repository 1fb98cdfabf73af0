package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/conchmq/conch/internal/attack"
)

// probeArg as the first argument makes this program the prober of another one: see startProber.
const probeArg = "probe"

// prober is an [attack.Prober] in a process of its own. Among the goroutines of the attackers it read replies up to 120 ms
// late that the server had written at once.
type prober struct {
	process *exec.Cmd
	to      io.WriteCloser
	from    *bufio.Reader
}

// startProber returns when the prober has connected. Its process ends with ctx, or with end.
func startProber(ctx context.Context, address, password string) (*prober, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &prober{process: exec.CommandContext(ctx, path, probeArg, address, password)}
	p.process.Stderr = os.Stderr
	if p.to, err = p.process.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.from = bufio.NewReader(out)
	if err := p.process.Start(); err != nil {
		return nil, err
	}
	if err := p.await("ready\n"); err != nil {
		return nil, errors.Join(err, p.process.Wait())
	}
	return p, nil
}

func (p *prober) await(want string) error {
	got, err := p.from.ReadString('\n')
	if err == nil && got != want {
		err = fmt.Errorf("the prober prints %q instead of %q", got, want)
	}
	return err
}

// reset drops what was measured, and returns when that is done.
func (p *prober) reset() error {
	if _, err := io.WriteString(p.to, "reset\n"); err != nil {
		return err
	}
	return p.await("reset\n")
}

// end ends the prober and returns its figures. broken is the error of a PING, if one failed.
func (p *prober) end() (stall, p99 time.Duration, broken string, err error) {
	closed := p.to.Close()
	_, err = fmt.Fscanf(p.from, "%d %d %q\n", &stall, &p99, &broken)
	return stall, p99, broken, errors.Join(closed, err, p.process.Wait())
}

// probe measures until in ends. Each line of in drops what was measured before.
func probe(ctx context.Context, address, password string, in io.Reader, out io.Writer) error {
	p, err := attack.NewProber(ctx, address, password)
	if err != nil {
		return err
	}
	probing, stop := context.WithCancel(ctx)
	defer stop()
	probed := make(chan error, 1)
	go func() { probed <- p.Run(probing) }()
	fmt.Fprintln(out, "ready")
	for lines := bufio.NewScanner(in); lines.Scan(); {
		p.Reset()
		fmt.Fprintln(out, "reset")
	}
	stop()
	broken := ""
	if err := <-probed; err != nil {
		broken = err.Error()
	}
	stall, p99 := p.Stall()
	_, err = fmt.Fprintf(out, "%d %d %q\n", stall, p99, broken)
	return err
}
