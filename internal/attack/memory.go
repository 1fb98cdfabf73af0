package attack

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const mib = 1 << 20

// memoryAttacks fill the server's memory. Points 1 to 6.
var memoryAttacks = []Scenario{
	{Name: "1-patterns", Title: "16 MiB to 100 patterns of one subscriber that does not read", Cap: "50MiB", run: patternsOfOne},
	{Name: "1b-pattern-each", Title: "16 MiB to 100 subscribers with a pattern each", Cap: "50MiB", run: patternsOfMany},
	{Name: "1c-exec", Title: "16 MiB in EXEC to 100 patterns of the own connection", Cap: "50MiB", run: patternsInExec},
	{Name: "1d-predicates", Title: "16 MiB to 100 predicates of one subscriber that does not read", Cap: "50MiB",
		ConchOnly: "Redis has no predicates", run: predicatesOfOne},
	{Name: "2-strangers", Title: "50 unauthenticated clients send a\\n and do not read", NeedsPassword: true, run: tinyCommands},
	{Name: "2b-tiny", Title: "50 clients send a\\n and do not read", run: tinyCommands},
	{Name: "3-entries", Title: "4 slow line subscribers of two topics in turn", Cap: "128MiB", run: slowLines},
	{Name: "4-oldest", Title: "a slow drop-oldest subscriber, small messages and replies", ConchOnly: "Redis drops no messages", run: dropOldest},
	{Name: "5-zeros", Title: "16 MiB of zero bytes, 1 line subscriber", run: zeros(1)},
	{Name: "5b-zeros", Title: "16 MiB of zero bytes, 4 line subscribers", run: zeros(4)},
	{Name: "6-slow-at-cap", Title: "100 slow line subscribers at the cap", Cap: "100MiB", run: slowAtCap},
	{Name: "6b-exec-at-cap", Title: "EXEC of 90,000 PUBLISH to 100 slow subscribers at the cap", Cap: "100MiB", run: execAtCap},
}

const big = "big"

// glob returns one of many patterns that match big.
func glob(i int) string { return fmt.Sprintf("[b%03d]ig", i) }

func globs(n int) (all []string) {
	for i := range n {
		all = append(all, glob(i))
	}
	return all
}

func patternsOfOne(t *Target) error {
	if _, err := t.dialSlow(command(append([]string{"PSUBSCRIBE"}, globs(100)...)...), 100); err != nil {
		return err
	}
	return t.publishBig()
}

func predicatesOfOne(t *Target) error {
	text := []string{"PSUBSCRIBE"}
	for i := range 100 {
		text = append(text, fmt.Sprintf("big WHERE size > %d", i))
	}
	if _, err := t.dialSlow(command(text...), 100); err != nil {
		return err
	}
	return t.publishBig()
}

func patternsOfMany(t *Target) error {
	for i := range 100 {
		if _, err := t.dialSlow(command("PSUBSCRIBE", glob(i)), 1); err != nil {
			return err
		}
	}
	return t.publishBig()
}

// publishBig publishes one message of 16 MiB.
func (t *Target) publishBig() error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	text := command("PUBLISH", big, strings.Repeat("x", 16*mib))
	t.begin()
	return c.sendAndWait(text, 1)
}

func (c *conn) sendAndWait(text string, answers int) error {
	if err := c.send(text); err != nil {
		return err
	}
	return c.answers(answers)
}

func patternsInExec(t *Target) error {
	text := command("HELLO", "3") + command(append([]string{"PSUBSCRIBE"}, globs(100)...)...)
	c, err := t.dialSlow(text, 101)
	if err != nil {
		return err
	}
	text = command("MULTI") + command("PUBLISH", big, strings.Repeat("x", 16*mib)) + command("EXEC")
	t.begin()
	_ = c.send(text) // the server may disconnect it
	wait(t.ctx, t.Flood)
	return t.roundTrip()
}

// roundTrip waits until the server has replied to another connection.
func (t *Target) roundTrip() error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	return c.request("PING")
}

func tinyCommands(t *Target) error {
	text := strings.Repeat("a\n", 32<<10)
	return t.flood(50, t.dialUnauthenticated, text, 64*mib)
}

// subscribeText returns a subscribe command as a line, or as RESP for Redis, and the number of replies.
func (t *Target) subscribeText(topics ...string) (text string, answers int) {
	if t.Redis {
		return command(append([]string{"SUBSCRIBE"}, topics...)...), len(topics)
	}
	return "SUB " + strings.Join(topics, " ") + "\n", len(topics)
}

func slowLines(t *Target) error { return t.alternate(4, 3_200_000) }
func slowAtCap(t *Target) error { return t.alternate(100, 400_000) }

// alternate publishes messages of one byte to two topics in turn, with slow subscribers of both.
func (t *Target) alternate(subscribers, messages int) error {
	text, answers := t.subscribeText("a", "b")
	for range subscribers {
		if _, err := t.dialSlow(text, answers); err != nil {
			return err
		}
	}
	t.begin()
	return t.publishInTurn(t.ctx, messages)
}

// publishInTurn publishes messages of one byte to a and b in turn, at full speed.
func (t *Target) publishInTurn(ctx context.Context, messages int) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	c.discardAll()
	const pairs = 1000
	text := strings.Repeat(command("PUBLISH", "a", "x")+command("PUBLISH", "b", "x"), pairs)
	messages = t.scaled(messages)
	sent := c.writeRepeatedly(ctx, text, messages/(2*pairs)*len(text))
	if err := t.roundTrip(); err != nil {
		return err
	}
	if want := messages / (2 * pairs) * len(text); sent < want {
		t.note("%d of %d published", sent/len(text)*2*pairs, messages)
	}
	return nil
}

func dropOldest(t *Target) error {
	c, err := t.dialSlow("SLOW drop-oldest\nSUB a b\n", 3)
	if err != nil {
		return err
	}
	t.begin()
	ctx, stop := context.WithTimeout(t.ctx, 3*t.Flood)
	defer stop()
	t.readers.Go(func() { // replies between the messages, until the server stops reading because of them
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil && c.writeRepeatedly(ctx, strings.Repeat("PING\n", 100), 1) > 0 {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	return t.publishInTurn(ctx, 4_000_000)
}

func zeros(subscribers int) func(*Target) error {
	return func(t *Target) error {
		// Each selects another format of the message.
		ways := []string{"SUB big\n", "SUB big\r\n", "SEQ ON\nSUB big\n", "SEQ ON\r\nSUB big\r\n"}
		for i := range subscribers {
			text, answers := ways[i], strings.Count(ways[i], "\n")
			if t.Redis {
				text, answers = t.subscribeText(big)
			}
			if _, err := t.dialReader(text, answers); err != nil {
				return err
			}
		}
		c, err := t.dial()
		if err != nil {
			return err
		}
		text := command("PUBLISH", big, strings.Repeat("\x00", 16*mib))
		t.begin()
		return c.sendAndWait(text, 1)
	}
}

func execAtCap(t *Target) error {
	text, answers := t.subscribeText("a", "b")
	for range 100 {
		if _, err := t.dialSlow(text, answers); err != nil {
			return err
		}
	}
	return t.execPublish(90_000)
}

// execPublish publishes to a and b in turn in one transaction.
func (t *Target) execPublish(messages int) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	messages = t.scaled(messages)
	text := command("MULTI") + strings.Repeat(command("PUBLISH", "a", "x")+command("PUBLISH", "b", "x"), messages/2)
	if err := c.sendAndWait(text, 1+messages/2*2); err != nil {
		return err
	}
	t.begin()
	return c.request("EXEC")
}
