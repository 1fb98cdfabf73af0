package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"
)

// mixTick is the unit of latencies.
const mixTick = 100 * time.Nanosecond

// mixConn is one connection of the mix. Its goroutine reads. publish runs on the goroutine that gets the last delivery of
// the message before: no two at a time, and the counter remaining orders them.
type mixConn struct {
	mix    *mix
	number int
	topics []int // that it subscribes to
	sock   net.Conn
	in     *bufio.Reader

	// The message that is on its way.
	random    *rand.Zipf
	sequence  int
	frame     []byte
	current   atomic.Uint64 // topic and sequence
	sent      atomic.Int64  // its time
	remaining atomic.Int64  // deliveries and replies to come

	// Of the reading goroutine.
	subscribed []bool
	last       []int // by publisher: sequence of the last message
	latencies  []int32
}

func newMixConn(m *mix, number int) *mixConn {
	seed := rand.New(rand.NewPCG(16, uint64(number)+2)) //nolint:gosec // a load that is the same in all runs
	return &mixConn{
		mix: m, number: number, random: rand.NewZipf(seed, mixZipf, 1, uint64(len(m.members)-1)),
		subscribed: make([]bool, len(m.members)), last: make([]int, len(m.conns)),
	}
}

// open connects and subscribes.
func (c *mixConn) open(ctx context.Context, address string) (err error) {
	if c.sock, err = new(net.Dialer).DialContext(ctx, "tcp", address); err != nil {
		return err
	}
	c.in = bufio.NewReaderSize(c.sock, 64<<10)
	for _, t := range c.topics {
		c.subscribed[t] = true
	}
	if err := c.sock.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := c.mix.format.hello(c.sock, c.in); err != nil {
		return err
	}
	const piece = 500
	for topics := c.topics; len(topics) > 0; {
		some := topics[:min(piece, len(topics))]
		topics = topics[len(some):]
		if err := c.mix.format.subscribe(c.sock, c.in, some); err != nil {
			return fmt.Errorf("cannot subscribe: %w", err)
		}
	}
	return c.sock.SetDeadline(time.Time{})
}

func (c *mixConn) close() {
	if c.sock != nil {
		_ = c.sock.Close() // the run is over
	}
}

// publish sends the next message, or none after the end of the run.
func (c *mixConn) publish() error {
	m, now := c.mix, time.Since(c.mix.began)
	if now >= m.end {
		if m.publishing.Add(-1) == 0 {
			close(m.done)
		}
		return nil
	}
	topic := int(c.random.Uint64()) //nolint:gosec // an index
	c.sequence++
	c.frame = m.format.appendPublish(c.frame[:0], topic, c.number, c.sequence)
	c.current.Store(place(topic, c.sequence))
	c.sent.Store(int64(now))
	c.remaining.Store(int64(len(m.members[topic]) + m.format.replies))
	_, err := c.sock.Write(c.frame)
	return err
}

// place is topic and sequence in one word.
func place(topic, sequence int) uint64 { return uint64(topic)<<40 | uint64(sequence) } //nolint:gosec // both are small

// arrived counts a delivery or a reply of the message on its way.
func (c *mixConn) arrived() error {
	if c.remaining.Add(-1) == 0 {
		return c.publish()
	}
	return nil
}

// read takes what comes until the connection is closed.
func (c *mixConn) read() error {
	var now time.Duration
	for {
		if c.in.Buffered() == 0 {
			if _, err := c.in.Peek(1); err != nil {
				return fmt.Errorf("connection %d: %w", c.number, err)
			}
			now = time.Since(c.mix.began)
		}
		if err := c.next(now); err != nil {
			return fmt.Errorf("connection %d: %w", c.number, err)
		}
	}
}

// next takes one message, reply or ping.
func (c *mixConn) next(now time.Duration) error {
	f := c.mix.format
	first, err := c.in.Peek(1)
	if err != nil {
		return err
	}
	if first[0] != f.message[0] {
		return c.other()
	}
	b, err := c.in.Peek(f.messageLen)
	if err != nil {
		return err
	}
	topic, publisher, sequence, ok := f.parse(b)
	if !ok || topic >= len(c.subscribed) || publisher >= len(c.mix.conns) {
		return fmt.Errorf("%.80q is no message of this run", b)
	}
	if _, err := c.in.Discard(f.messageLen); err != nil {
		return err
	}
	return c.deliver(now, topic, publisher, sequence)
}

// deliver checks a message: it is the one on its way, comes once, and to a subscriber.
func (c *mixConn) deliver(now time.Duration, topic, publisher, sequence int) error {
	from := c.mix.conns[publisher]
	if !c.subscribed[topic] || from.current.Load() != place(topic, sequence) || c.last[publisher] == sequence {
		return fmt.Errorf("message %d of connection %d to topic %d was not due", sequence, publisher, topic)
	}
	c.last[publisher] = sequence
	if sent := from.sent.Load(); sent >= c.mix.start.Load() {
		c.latencies = append(c.latencies, int32((now-time.Duration(sent))/mixTick)) //nolint:gosec // 200 s fit
	}
	return from.arrived()
}

// other takes a line that is no message.
func (c *mixConn) other() error {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return err
	}
	switch receivers, kind := c.mix.format.reply(line); kind {
	case mixReply:
		if want := len(c.mix.members[c.current.Load()>>40]); receivers != want {
			return fmt.Errorf("a message had %d receivers, not %d", receivers, want)
		}
		return c.arrived()
	case mixPing:
		_, err := c.sock.Write([]byte("PONG\r\n"))
		return err
	case mixSkip:
		return nil
	}
	return errors.New("the server says: " + brief(errors.New(line)))
}
