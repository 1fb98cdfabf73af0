//go:build soak

package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/conchmq/conch/internal/harness"
)

const (
	stopSlowTime = 5 * time.Second
	stopFor      = 8 * time.Second // longer than a write may take: slow-time and a quarter of it
	stopMessages = 128
	stopSize     = 128 << 10
)

// stopLong stops a server of its own for longer than slow-time, while much waits for a subscriber. The subscriber reads
// what the kernel holds meanwhile, so it must get all the rest afterwards.
func (s *run) stopLong(ctx context.Context, _ *rand.Rand) {
	p, err := launch(s.report, "", "127.0.0.1:0", "--log-format", "json", "--slow-time", stopSlowTime.String(), "--slow-soft", "1MiB")
	if err != nil {
		s.report.fail("a server to stop: %v", err)
		return
	}
	defer func() { _ = p.end(9) }() // its error is that it was killed
	own := &run{report: s.report, target: &target{report: s.report, process: p}}
	var late time.Duration
	switch err := own.readAcrossStop(ctx, &late); {
	case ctx.Err() != nil:
	case err == nil:
		s.report.add(rowStoppedLong, 1)
	case late > stopSlowTime: // the subscriber was too slow in time that counts, and had to be disconnected
		s.report.skip(rowStoppedLong, fmt.Sprintf("one not judged: publishing and reading took %v without the stop", late.Round(time.Millisecond)))
	default:
		s.report.fail("a subscriber of a server that was stopped for %v: %v; connections ended: %v", stopFor, err, endings(p))
	}
}

// readAcrossStop publishes all at once, so that little time passes in which the subscriber takes nothing from a server that
// runs. late is that time, and the time of reading.
func (s *run) readAcrossStop(ctx context.Context, late *time.Duration) error {
	sub, err := s.dial(direct)
	if err != nil {
		return err
	}
	defer sub.shut()
	_ = sub.Conn.(*net.TCPConn).SetReadBuffer(stopSize) // should it fail, less waits in the server
	if _, err := sub.ask("SUB a\n"); err != nil {
		return err
	}
	pub, err := s.dial(direct)
	if err != nil {
		return err
	}
	defer pub.shut()
	began, stopped := time.Now(), time.Duration(0)
	defer func() { *late = time.Since(began) - stopped }()
	if err := pub.send(strings.Repeat(harness.RESP("PUBLISH", "a", strings.Repeat("x", stopSize)), stopMessages)); err != nil {
		return err
	}
	for range stopMessages {
		if _, err := pub.frame(); err != nil {
			return err
		}
	}
	server := s.target.process.cmd.Process
	if err := server.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	from, going := time.Now(), make(chan time.Time, 1)
	goOn := time.AfterFunc(stopFor, func() {
		_ = server.Signal(syscall.SIGCONT) // it is there, or it is killed anyway
		going <- time.Now()
	})
	defer goOn.Stop()
	defer context.AfterFunc(ctx, sub.shut)()
	for i := range stopMessages {
		if _, err := sub.frame(); err != nil {
			select {
			case at := <-going:
				stopped = at.Sub(from)
			default: // it is stopped, and the end came from elsewhere
			}
			return fmt.Errorf("after %d of %d messages: %w", i, stopMessages, err)
		}
	}
	return nil
}

// endings are the reasons for which a server has ended connections.
func endings(p *process) string {
	info, err := inform(p.addr)
	if err != nil {
		return err.Error()
	}
	var all []string
	for name, n := range info {
		if n > 0 && strings.HasPrefix(name, "ended_") {
			all = append(all, fmt.Sprintf("%s %d", name, n))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
