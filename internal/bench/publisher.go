package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// publisher is one publishing connection. Two goroutines own it: publish writes, and countReplies reads.
type publisher struct {
	*frames
	sock            net.Conn
	prefetched      []byte
	first           *atomic.Int64           // number of its first measured message, or notMeasured
	sent            atomic.Int64            // messages written, or being written
	answered        atomic.Int64            // replies received
	expectedReplies atomic.Int64            // total; -1 before it is known
	done            chan struct{}           // closed when all replies have arrived
	timer           *preciseTimer           // with a rate
	lateness        *hdrhistogram.Histogram // delay of the writes after the schedule
	sequence        int                     // of the next message
	lowest          int                     // messages known to have reached all subscribers
	_               [64]byte
}

// publish sends the load. It returns when every subscriber has all messages and every reply has arrived.
func (p *publisher) publish(r *run) error {
	send := p.flood
	if r.load.Rate > 0 {
		send = p.pace
	}
	if err := send(r); err != nil {
		return err
	}
	if _, ok := p.await(r, p.sequence); !ok {
		return errStopped
	}
	if !r.load.Dialect.replies() {
		return nil
	}
	p.expectedReplies.Store(int64(p.sequence))
	if p.answered.Load() >= int64(p.sequence) {
		return nil
	}
	select {
	case <-p.done:
		return nil
	case <-r.stop:
		return errStopped
	}
}

// flood sends as fast as the window allows until the end of the duration.
func (p *publisher) flood(r *run) error {
	batch := min(r.load.Pipeline, r.window.share)
	for {
		if err := p.waitForRoom(r, batch); err != nil {
			return err
		}
		now := r.now()
		if p.first.Load() == notMeasured && now >= r.load.WarmUp {
			if err := p.startMeasuring(r); err != nil {
				return err
			}
			now = r.now()
		}
		// At least one batch is measured, even if a busy machine did not schedule this goroutine in time.
		if first := p.first.Load(); first != notMeasured && int64(p.sequence) > first && now >= time.Duration(r.started.Load())+r.load.Duration {
			return nil
		}
		if err := p.write(batch, func(int) time.Duration { return now }); err != nil {
			return err
		}
	}
}

// startMeasuring ends the warm-up: it waits until all messages have arrived and all publishers are ready. Otherwise the
// measured part would include the delivery of earlier messages, most of all on a slow server with a long queue.
func (p *publisher) startMeasuring(r *run) error {
	if _, ok := p.await(r, p.sequence); !ok {
		return errStopped
	}
	p.first.Store(int64(p.sequence))
	if r.warm.Add(1) == int64(len(r.publishers)) {
		r.measure(r.now())
		return nil
	}
	select {
	case <-r.measuring:
		return nil
	case <-r.stop:
		return errStopped
	}
}

// pace sends each message at its scheduled time, or as soon after it as possible. It writes several at once only if they
// are due together. Delays never move the schedule.
func (p *publisher) pace(r *run) error {
	plan := schedule{r.load.Rate, p.publisher, r.load.Publishers}
	p.first.Store(int64(plan.before(r.load.WarmUp)))
	end := plan.before(r.load.WarmUp + r.load.Duration)
	for p.sequence < end {
		now := r.now()
		batch := min(plan.before(now+1)-p.sequence, r.load.Pipeline, r.window.share, end-p.sequence)
		if batch <= 0 {
			if err := p.timer.wait(plan.due(p.sequence) - now); err != nil {
				return errStopped
			}
			continue
		}
		if err := p.waitForRoom(r, batch); err != nil {
			return err
		}
		now = r.now()
		for i := range batch {
			if n := p.sequence + i; int64(n) >= p.first.Load() {
				record(p.lateness, now-plan.due(n))
			}
		}
		if err := p.write(batch, plan.due); err != nil {
			return err
		}
	}
	return nil
}

// waitForRoom waits until the window has room for a batch.
func (p *publisher) waitForRoom(r *run, batch int) error {
	need := p.sequence + batch - r.window.share
	if need <= p.lowest {
		return nil
	}
	lowest, ok := p.await(r, need)
	if !ok {
		return errStopped
	}
	p.lowest = lowest
	return nil
}

// await waits until all messages before a position have arrived.
func (p *publisher) await(r *run, position int) (lowest int, ok bool) {
	if r.window.topics > 1 {
		return r.window.awaitSpread(p.publisher, p.lowest, position, r.stop)
	}
	return r.window.await(p.publisher, position, r.stop)
}

func (p *publisher) write(batch int, at func(sequence int) time.Duration) error {
	b := p.next(p.sequence, batch, at)
	p.sequence += batch
	p.sent.Store(int64(p.sequence))
	if _, err := p.sock.Write(b); err != nil {
		return fmt.Errorf("publisher %d: %w", p.publisher, closedBy(err))
	}
	return nil
}

// countReplies reads the server's replies until the connection ends or all have arrived. An error reply ends the run.
func (p *publisher) countReplies(d Dialect) error {
	buf := make([]byte, minReadBuffer)
	have := copy(buf, p.prefetched)
	for {
		n, err := p.sock.Read(buf[have:])
		if err != nil {
			return fmt.Errorf("publisher %d: %w", p.publisher, closedBy(err))
		}
		have += n
		used, answers, err := replies(d, buf[:have])
		if err != nil {
			return fmt.Errorf("publisher %d: %w", p.publisher, err)
		}
		if answers.pings > 0 {
			if _, err := io.WriteString(p.sock, strings.Repeat("PONG\r\n", answers.pings)); err != nil {
				return fmt.Errorf("publisher %d: %w", p.publisher, closedBy(err))
			}
		}
		have = copy(buf, buf[used:have])
		if got := p.answered.Add(int64(answers.replies)); got == p.expectedReplies.Load() {
			close(p.done)
			return nil
		}
	}
}

// answers counts what a publisher has received: replies, and pings that need a PONG.
type answers struct{ replies, pings int }

// replies parses the input of a publisher, one line each. It returns the number of bytes consumed.
func replies(d Dialect, b []byte) (used int, a answers, err error) {
	for {
		end := bytes.IndexByte(b[used:], '\n')
		if end < 0 {
			if len(b)-used > maxStray {
				return used, a, errors.New("a reply does not end")
			}
			return used, a, nil
		}
		line := b[used : used+end]
		used += end + 1
		switch {
		case isReply(d, line):
			a.replies++
		case d == NATS && bytes.HasPrefix(line, []byte("PING")):
			a.pings++
		case d == NATS && (bytes.HasPrefix(line, []byte("INFO ")) || bytes.HasPrefix(line, []byte("+OK"))):
		default:
			return used, a, fmt.Errorf("the server replied: %s", bytes.TrimSpace(line[:min(len(line), 200)]))
		}
	}
}

func isReply(d Dialect, line []byte) bool {
	switch d {
	case RESP2, RESP3:
		return len(line) > 0 && line[0] == ':'
	case Line:
		return len(line) > 1 && line[0] == 'O' && line[1] == 'K'
	default:
		return false
	}
}
