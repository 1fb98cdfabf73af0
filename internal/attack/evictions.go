package attack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// evictionAttacks fill the memory with slow subscribers while a healthy client needs memory. Point 14.
var evictionAttacks = []Scenario{
	{Name: "14-publisher", Title: "4 slow subscribers, and a message of 16 MiB that comes slowly", Cap: "40MiB", run: largeBesideSlow},
	{Name: "14b-unread", Title: "5,000 subscribers do not read 32 MiB each at the cap", Cap: "100MiB", run: unreadSubscribers},
}

// unreadSubscribers has the server evict most of the subscribers.
func unreadSubscribers(t *Target) error {
	for range t.scaled(5_000) {
		if _, err := t.dialSlow(command("SUBSCRIBE", "unread"), 1); err != nil {
			return err
		}
	}
	c, err := t.dialReader("", 0)
	if err != nil {
		return err
	}
	t.begin()
	ctx, stop := t.floodContext()
	defer stop()
	c.writeRepeatedly(ctx, command("PUBLISH", "unread", strings.Repeat("x", 16<<10)), 32*mib)
	return t.roundTrip()
}

// largeBesideSlow notes which connections the server evicts.
func largeBesideSlow(t *Target) error {
	var slow []*conn
	for range 4 {
		c, err := t.dialSlow(command("SUBSCRIBE", "a"), 1)
		if err != nil {
			return err
		}
		slow = append(slow, c)
	}
	large, err := t.dial()
	if err != nil {
		return err
	}
	t.begin()
	filler, err := t.dialReader("", 0)
	if err != nil {
		return err
	}
	filling, stop := context.WithCancel(t.ctx)
	var all sync.WaitGroup
	all.Go(func() { // 32 MiB to each subscriber during the large message
		text := command("PUBLISH", "a", strings.Repeat("x", 64<<10))
		for range 512 {
			if filler.writeRepeatedly(filling, text, 1) == 0 || !wait(filling, t.Flood/512) {
				return
			}
		}
	})
	err = largeMessage(large)
	stop()
	all.Wait()
	evicted := 0
	for _, c := range slow {
		if c.ended() {
			evicted++
		}
	}
	fate := "published"
	if err != nil {
		fate = fmt.Sprintf("evicted (%v)", err)
	}
	t.note("the publisher of 16 MiB: %s; slow subscribers evicted: %d of %d", fate, evicted, len(slow))
	return nil
}

// largeMessage publishes 16 MiB slowly, for the time of a flood.
func largeMessage(c *conn) error {
	text := command("PUBLISH", "large", strings.Repeat("x", 16*mib))
	const pieces = 100
	for i := range pieces {
		if err := c.send(text[i*len(text)/pieces : (i+1)*len(text)/pieces]); err != nil {
			return err
		}
		if !wait(c.t.ctx, c.t.Flood/pieces) {
			return c.t.ctx.Err()
		}
	}
	return c.answers(1)
}

// ended reads the buffered data and reports whether the connection has ended after it.
func (c *conn) ended() bool {
	scratch := make([]byte, 64<<10)
	for {
		_ = c.SetReadDeadline(time.Now().Add(time.Second)) // fails on a dead socket, as the read then does
		if _, err := c.in.Read(scratch); err != nil {
			return !errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
}

// wait waits for d and reports false if ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
