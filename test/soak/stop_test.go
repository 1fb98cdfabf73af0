//go:build soak

package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
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
	if err := own.readAcrossStop(ctx); err != nil && ctx.Err() == nil {
		s.report.fail("a subscriber of a server that was stopped for %v: %v", stopFor, err)
	}
}

func (s *run) readAcrossStop(ctx context.Context) error {
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
	for range stopMessages {
		if _, err := pub.ask(harness.RESP("PUBLISH", "a", strings.Repeat("x", stopSize))); err != nil {
			return err
		}
	}
	server := s.target.process.cmd.Process
	if err := server.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	goOn := time.AfterFunc(stopFor, func() { _ = server.Signal(syscall.SIGCONT) }) // it is there, or it is killed anyway
	defer goOn.Stop()
	defer context.AfterFunc(ctx, sub.shut)()
	for i := range stopMessages {
		if _, err := sub.frame(); err != nil {
			return fmt.Errorf("after %d of %d messages: %w", i, stopMessages, err)
		}
	}
	s.report.add(rowStoppedLong, 1)
	return nil
}
