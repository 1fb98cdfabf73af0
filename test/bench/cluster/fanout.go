package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

const (
	fanRate    = 1000 // messages a second
	fanPerNode = 300  // subscribers
	fanTopic   = "fan"
	fanReads   = 10 * time.Millisecond // between two looks at each subscriber
)

// fanOut publishes at a fixed rate to many subscribers at each node, and counts what they get. The generator looks at each subscriber now
// and then, so that it takes little of the processors that the nodes need.
func fanOut(ctx context.Context, g *group, o *options) (sample, error) {
	all, err := subscribeAll(g)
	defer func() {
		for _, s := range all {
			_ = s.sock.Close() // nothing depends on it
		}
	}()
	if err != nil {
		return nil, err
	}
	pub, err := dialRESP(g.nodes[0].address)
	if err != nil {
		return nil, err
	}
	defer pub.close()
	before, err := g.usage()
	if err != nil {
		return nil, err
	}
	sent, began := 0, time.Now()
	stop := make(chan error, 1)
	go func() {
		var err error
		sent, err = pub.publishPaced(ctx, int(o.duration.Seconds()*fanRate))
		stop <- err
	}()
	if err = receiveAll(ctx, all, stop, &sent); err != nil {
		return nil, err
	}
	took := time.Since(began)
	used, err := g.usage()
	deliveries := float64(sent * len(all))
	return sample{
		cpuDelivery: float64((used - before).Microseconds()) / deliveries, deliveryRate: deliveries / took.Seconds(),
	}, err
}

// fanSubscriber counts bytes: all messages have the same length.
type fanSubscriber struct {
	sock  *net.TCPConn
	raw   syscall.RawConn
	bytes int
}

func subscribeAll(g *group) (all []*fanSubscriber, err error) {
	for _, n := range g.nodes {
		for range fanPerNode {
			w, err := dialRESP(n.address)
			if err != nil {
				return all, err
			}
			s := &fanSubscriber{sock: w.sock.(*net.TCPConn)}
			all = append(all, s)
			if _, err := w.request("SUBSCRIBE", fanTopic); err != nil {
				return all, err
			}
			if err := s.sock.SetDeadline(time.Time{}); err != nil {
				return all, err
			}
			if s.raw, err = s.sock.SyscallConn(); err != nil {
				return all, err
			}
		}
	}
	return all, nil
}

var fanFrame = len(appendCommand(nil, "message", fanTopic, payload(payloadBytes)))

// publishPaced publishes each message when it is due, in a write of its own.
func (w *wire) publishPaced(ctx context.Context, total int) (sent int, err error) {
	go func() { _, _ = io.Copy(io.Discard, w.in) }() // it ends with the connection
	began := time.Now()
	command := appendCommand(nil, "PUBLISH", fanTopic, payload(payloadBytes))
	if err := w.sock.SetDeadline(time.Time{}); err != nil {
		return 0, err
	}
	for ; sent < total && ctx.Err() == nil; sent++ {
		time.Sleep(time.Until(began.Add(time.Duration(sent) * time.Second / fanRate))) //nolint:forbidigo // the rate is a setting
		if _, err := w.sock.Write(command); err != nil {
			return sent, err
		}
	}
	return sent, ctx.Err()
}

// receiveAll reads until all subscribers have all messages. sent is read once stop has its error.
func receiveAll(ctx context.Context, all []*fanSubscriber, stop <-chan error, sent *int) error {
	tick := time.NewTicker(fanReads)
	defer tick.Stop()
	buffer, stopped, deadline := make([]byte, 256<<10), false, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-stop:
			if err != nil {
				return err
			}
			stopped, deadline = true, time.Now().Add(patience)
		case <-tick.C:
		}
		least, most := -1, 0
		for _, s := range all {
			if err := s.read(buffer); err != nil {
				return err
			}
			most = max(most, s.bytes)
			if least < 0 || s.bytes < least {
				least = s.bytes
			}
		}
		if !stopped {
			continue
		}
		switch want := *sent * fanFrame; {
		case most > want:
			return fmt.Errorf("a subscriber has %d bytes, of %d", most, want)
		case least == want:
			return nil
		case time.Now().After(deadline):
			return errors.New("a subscriber lacks messages")
		}
	}
}

// read takes what is there, and does not wait.
func (s *fanSubscriber) read(buffer []byte) (err error) {
	errRaw := s.raw.Read(func(fd uintptr) bool {
		for {
			n, errRead := syscall.Read(int(fd), buffer)
			switch {
			case errors.Is(errRead, syscall.EAGAIN) || errors.Is(errRead, syscall.EINTR):
				return true
			case errRead != nil || n == 0:
				err = errors.Join(errors.New("a subscriber was disconnected"), errRead)
				return true
			}
			if s.bytes += n; n < len(buffer) {
				return true
			}
		}
	})
	return errors.Join(errRaw, err)
}
