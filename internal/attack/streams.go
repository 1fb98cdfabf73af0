package attack

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// streamAttacks are commands about streams, and clients that wait for entries. Point 16.
var streamAttacks = []Scenario{
	{Name: "16-range", Title: "XRANGE - + of 10,000,000 entries, 4 clients", Limit: longLimit, run: rangeOfMany(4, true)},
	{Name: "16b-range", Title: "20 clients send XRANGE - + of 10,000,000 entries, and do not read", Cap: "4GiB", Limit: longLimit, run: rangeOfMany(20, false)},
	{Name: "16c-exec", Title: "16 times XRANGE - + of 1,000,000 entries in EXEC", run: rangesInExec},
	{Name: "16d-keys", Title: "KEYS, SCAN, DBSIZE over 1,000,000 keys, and FLUSHALL", Cap: "4GiB", Limit: longLimit, run: keysOfMany},
	{Name: "16e-keys", Title: "20 clients send KEYS * over 150,000 keys, and do not read", Cap: "200MiB", run: keysUnread},
	{Name: "16f-blocked", Title: "9,900 clients wait for one stream, get an entry, wait again, and end", Limit: longLimit, run: blockedClients(1)},
	{Name: "16g-blocked", Title: "the same with 1,000 streams", Limit: longLimit, run: blockedClients(1000)},
	{Name: "16w-consumers", Title: "9,900 consumers of one group wait, get an entry each, wait again, and end", Limit: longLimit, run: blockedConsumers(1)},
	{Name: "16x-consumers", Title: "the same with a group each", Limit: longLimit, run: blockedConsumers(9_900)},
	{Name: "16h-maxlen", Title: "XADD MAXLEN 1, and then 0, over 10,000,000 entries", Limit: longLimit, run: overMany("XADD", "s", "MAXLEN")},
	{Name: "16i-xtrim", Title: "XTRIM MAXLEN 1, and then 0, of 10,000,000 entries", Limit: longLimit, run: overMany("XTRIM", "s", "MAXLEN")},
	{Name: "16j-xdel", Title: "XDEL of 100,000 ids, 5 pipelined", run: deleteMany},
	{Name: "16k-unread", Title: "1,000,000 XADD from a client that does not read, in memory", Cap: "1GiB", run: appendUnread},
	{Name: "16l-unread", Title: "the same, --fsync no", Fsync: "no", run: appendUnread},
	{Name: "16m-unread", Title: "the same, --fsync 1s", Fsync: "1s", run: appendUnread},
	{Name: "16n-unread", Title: "the same, --fsync always", Fsync: "always", run: appendUnread},
	{Name: "16o-strangers", Title: "50 unauthenticated clients send XADD and do not read", NeedsPassword: true, run: appendUnauthenticated},
	{Name: "16p-lies", Title: "1,000 clients announce more than they send in XADD", Cap: "100MiB", run: liesInAppends},
	{Name: "16q-del", Title: "DEL of 300,000 keys", Cap: "1GiB", Limit: longLimit, run: removeMany},
	{Name: "16r-unwatch", Title: "WATCH and UNWATCH of 190,000 keys, 5 times", Cap: "1GiB", run: unwatchMany},
	{Name: "16s-entries", Title: "40 clients read an entry of 12 MiB, and do not read the reply", Cap: "200MiB", run: largeEntriesUnread},
	{Name: "16t-read", Title: "100 clients send READ * of 1,000,000 entries, and do not read", Cap: "1GiB", ConchOnly: noRead, Limit: longLimit, run: readsUnread},
	{Name: "16u-read", Title: "20 clients READ 10,000,000 entries of 10,000 streams with a predicate that matches none", Cap: "4GiB", ConchOnly: noRead, Limit: longLimit, run: readsOfNothing},
	{Name: "16v-strangers", Title: "50 unauthenticated clients send READ with long predicates", NeedsPassword: true, ConchOnly: noRead, run: readsUnauthenticated},
	{Name: "16y-retention", Title: "rules of retention, and an age that comes at once, for 1,000,000 streams", Cap: "4GiB", ConchOnly: noRetention, Limit: longLimit, run: retentionOfMany},
}

// noRetention is why Redis cannot run it.
const noRetention = "Redis has no retention"

// noRead is why Redis cannot run an attack.
const noRead = "Redis has no READ"

// longLimit is for attacks with long preparations.
const longLimit = 90 * time.Second

// appendMany appends n entries over four connections, some to each of so many streams in turn.
func (t *Target) appendMany(n, streams int) error {
	const conns, batch = 4, 1000
	return inParallel(conns, func(i int) error {
		c, err := t.dial()
		if err != nil {
			return err
		}
		for at := i * batch; at < n; at += conns * batch {
			var b strings.Builder
			count := min(batch, n-at)
			for j := range count {
				name := "s"
				if streams > 1 {
					name = fmt.Sprintf("s%d", (at+j)%streams)
				}
				b.WriteString(command("XADD", name, "*", "n", "1"))
			}
			if err := c.send(b.String()); err != nil {
				return err
			}
			if err := c.answers(count); err != nil {
				return err
			}
		}
		return nil
	})
}

func rangeOfMany(clients int, read bool) func(*Target) error {
	return func(t *Target) error {
		if err := t.appendMany(t.scaled(10_000_000), 1); err != nil {
			return err
		}
		t.begin()
		ctx, stop := t.floodContext()
		defer stop()
		for range clients {
			c, err := t.dialSlow("", 0)
			if err != nil {
				return err
			}
			if read {
				c.discardAll()
			}
			if err := c.send(command("XRANGE", "s", "-", "+")); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return t.roundTrip()
	}
}

func rangesInExec(t *Target) error {
	if err := t.appendMany(t.scaled(1_000_000), 1); err != nil {
		return err
	}
	const ranges = 16
	c, err := t.dial()
	if err != nil {
		return err
	}
	t.begin()
	c.discardAll()
	if err := c.send(command("MULTI") + strings.Repeat(command("XRANGE", "s", "-", "+"), ranges) + command("EXEC")); err != nil {
		return err
	}
	wait(t.ctx, t.Flood)
	return t.roundTrip()
}

func keysOfMany(t *Target) error {
	n := t.scaled(1_000_000)
	if err := t.appendMany(n, n); err != nil {
		return err
	}
	text := command("DBSIZE") + command("KEYS", "*") + command("KEYS", "*9999*")
	for range 100 {
		text += command("SCAN", "0", "COUNT", "1000000")
	}
	answers := 103
	if t.Scale <= 1 {
		text, answers = text+command("FLUSHALL"), answers+1
	}
	return t.pipeline(text, answers)
}

// retentionOfMany has a rule take an entry of each stream, a thousand globs be matched with each, and then an age take what is left of
// all at once.
func retentionOfMany(t *Target) error {
	n := t.scaled(1_000_000)
	if err := t.appendMany(2*n, n); err != nil {
		return err
	}
	globs := ""
	for i := range 999 {
		globs += fmt.Sprintf("*%dx* count=1; ", i)
	}
	c, err := t.dial()
	if err != nil {
		return err
	}
	t.begin()
	for _, rules := range []string{"s* count=1", globs + "s* count=1", "s* age=1s"} {
		if err := c.request("CONFIG", "SET", "retention", rules); err != nil {
			return err
		}
		wait(t.ctx, t.Flood)
	}
	return t.roundTrip()
}

func keysUnread(t *Target) error {
	n := t.scaled(150_000)
	if err := t.appendMany(n, n); err != nil {
		return err
	}
	t.begin()
	for range 20 {
		if _, err := t.dialSlow(command("KEYS", "*"), 0); err != nil {
			return err
		}
	}
	wait(t.ctx, t.Flood)
	return t.roundTrip()
}

// blockedClients has clients wait for streams in turn. An entry wakes them all; they wait again, and end all at once.
func blockedClients(streams int) func(*Target) error {
	return func(t *Target) error {
		return t.blockAndEnd(streams, streams, func(i int) string {
			return command("XREAD", "BLOCK", "0", "STREAMS", fmt.Sprintf("b%d", i%streams), "$")
		})
	}
}

// blockedConsumers is the same with consumers of so many groups of one stream.
func blockedConsumers(groups int) func(*Target) error {
	return func(t *Target) error {
		c, err := t.dial()
		if err != nil {
			return err
		}
		n := t.scaled(blocked)
		for i := range min(groups, n) {
			if err := c.request("XGROUP", "CREATE", "b0", fmt.Sprintf("g%d", i), "$", "MKSTREAM"); err != nil {
				return err
			}
		}
		appends := 1
		if groups == 1 {
			appends = n
		}
		return t.blockAndEnd(appends, 1, func(i int) string {
			return command("XREADGROUP", "GROUP", fmt.Sprintf("g%d", i%groups), fmt.Sprintf("c%d", i), "COUNT", "1", "BLOCK", "0", "STREAMS", "b0", ">")
		})
	}
}

// blocked is how many clients wait.
const blocked = 9_900

// blockAndEnd has clients wait by the command of each, appends until each has an entry, has them wait again, and closes all.
func (t *Target) blockAndEnd(appends, streams int, waiting func(i int) string) error {
	conns := make([]*conn, t.scaled(blocked))
	for i := range conns {
		c, err := t.dial()
		if err != nil {
			return err
		}
		conns[i] = c
	}
	blockAll := func() error {
		for i, c := range conns {
			if err := c.send(waiting(i)); err != nil {
				return err
			}
		}
		return t.roundTrip()
	}
	t.begin()
	if err := blockAll(); err != nil {
		return err
	}
	c, err := t.dial()
	if err != nil {
		return err
	}
	for i := range appends {
		if err := c.request("XADD", fmt.Sprintf("b%d", i%streams), "*", "n", "1"); err != nil {
			return err
		}
	}
	for _, c := range conns {
		if err := c.answers(1); err != nil {
			return err
		}
	}
	if err := blockAll(); err != nil {
		return err
	}
	for _, c := range conns {
		_ = c.Close() // the server sees the end in any case
	}
	return t.roundTrip()
}

// overMany removes nearly all entries of a stream by one command, and the last by another.
func overMany(words ...string) func(*Target) error {
	return func(t *Target) error {
		if err := t.appendMany(t.scaled(10_000_000), 1); err != nil {
			return err
		}
		text := ""
		for _, left := range []string{"1", "0"} {
			args := append(slices.Clone(words), left)
			if words[0] == "XADD" {
				args = append(args, "*", "n", "1")
			}
			text += command(args...)
		}
		return t.pipeline(text, 2)
	}
}

func deleteMany(t *Target) error {
	n := t.scaled(100_000)
	const times = 5
	c, err := t.dial()
	if err != nil {
		return err
	}
	const batch = 1000
	for at := 0; at < times*n; at += batch {
		var b strings.Builder
		for i := range batch {
			b.WriteString(command("XADD", "s", fmt.Sprintf("%d-1", at+i+1), "n", "1"))
		}
		if err := c.send(b.String()); err != nil {
			return err
		}
		if err := c.answers(batch); err != nil {
			return err
		}
	}
	var text strings.Builder
	for i := range times {
		args := []string{"XDEL", "s"}
		for j := range n {
			args = append(args, fmt.Sprintf("%d-1", j*times+i+1))
		}
		text.WriteString(command(args...))
	}
	return t.pipeline(text.String(), times)
}

func appendUnread(t *Target) error {
	c, err := t.dialSlow("", 0)
	if err != nil {
		return err
	}
	t.begin()
	ctx, stop := context.WithTimeout(t.ctx, 2*t.Flood)
	defer stop()
	text := strings.Repeat(command("XADD", "s", "*", "n", strings.Repeat("x", 100)), 100)
	sent := c.writeRepeatedly(ctx, text, t.scaled(1_000_000)*len(text)/100)
	t.note("%d of the appends were taken", sent*100/len(text))
	return t.roundTrip()
}

func appendUnauthenticated(t *Target) error {
	text := strings.Repeat(command("XADD", "s", "*", "n", "1"), 1000)
	return t.flood(50, t.dialUnauthenticated, text, 1<<40)
}

// readsUnread requests many pages, which nothing takes.
func readsUnread(t *Target) error {
	if err := t.appendMany(t.scaled(1_000_000), 1000); err != nil {
		return err
	}
	t.begin()
	ctx, stop := t.floodContext()
	defer stop()
	text := strings.Repeat(command("READ", "*", "COUNT", "1000000"), 100)
	for range 100 {
		c, err := t.dialSlow("", 0)
		if err != nil {
			return err
		}
		if err := c.send(text); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return t.roundTrip()
}

// readsOfNothing goes over all entries, page after page, and over all names.
func readsOfNothing(t *Target) error {
	if err := t.appendMany(t.scaled(10_000_000), 10_000); err != nil {
		return err
	}
	t.begin()
	ctx, stop := t.floodContext()
	defer stop()
	return inParallel(20, func(i int) error {
		c, err := t.dial()
		if err != nil {
			return err
		}
		c.discardAll()
		names := []string{"*", "s*9*9*9*", "s1??? s2??? s3???"}[i%3]
		text := command(append(append([]string{"READ"}, strings.Fields(names)...), "WHERE", `n == 2 || payload contains "nothing"`)...)
		text += command("READ", "*", "LAST", "10000", "WHERE", "n == 2")
		c.writeRepeatedly(ctx, text, 1<<40)
		return nil
	})
}

// readsUnauthenticated sends what would be costly if it were compiled.
func readsUnauthenticated(t *Target) error {
	text := strings.Repeat(command("READ", "*", "WHERE", strings.Repeat("(n == 1) || ", 300)+"n == 2"), 10)
	return t.flood(50, t.dialUnauthenticated, text, 1<<40)
}

// liesInAppends announces arguments and lengths that do not come.
func liesInAppends(t *Target) error {
	lies := []string{
		"*1048576\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n",
		"*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\nn\r\n$16777216\r\nx",
		"*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\nn\r\n$-5\r\n",
		"*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\nn\r\n$99999999999999999999\r\n",
		"*4\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\nn\r\n",
		"*2147483647\r\n$4\r\nXADD\r\n",
		"*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1\r\nn\r\n$3\r\nlonger than that\r\n",
		"XADD s * n " + strings.Repeat("x", 70_000),
	}
	t.begin()
	var refused atomic.Int64
	n := t.scaled(1000)
	_ = inParallel(50, func(i int) error { // the server may disconnect any of them
		for at := i; at < n; at += 50 {
			c, err := t.dial()
			if err != nil {
				return err
			}
			if c.send(lies[at%len(lies)]) != nil {
				refused.Add(1)
			}
		}
		return nil
	})
	wait(t.ctx, t.Flood)
	return t.roundTrip()
}

func removeMany(t *Target) error {
	n := t.scaled(300_000)
	if err := t.appendMany(n, n); err != nil {
		return err
	}
	args := []string{"DEL"}
	for i := range n {
		args = append(args, fmt.Sprintf("s%d", i))
	}
	return t.pipeline(command(args...), 1)
}

func unwatchMany(t *Target) error {
	args := []string{"WATCH"}
	for i := range t.scaled(190_000) {
		args = append(args, fmt.Sprintf("w%d", i))
	}
	c, err := t.dial()
	if err != nil {
		return err
	}
	text := command(args...)
	for i := range 5 {
		if i == 0 {
			t.begin()
		}
		if err := c.send(text + command("UNWATCH")); err != nil {
			return err
		}
		if err := c.answers(2); err != nil {
			return err
		}
	}
	return t.roundTrip()
}

func largeEntriesUnread(t *Target) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	if err := c.request("XADD", "large", "*", "n", strings.Repeat("x", 12*mib/max(1, t.Scale))); err != nil {
		return err
	}
	t.begin()
	for range 40 {
		if _, err := t.dialSlow(command("XRANGE", "large", "-", "+"), 0); err != nil {
			return err
		}
	}
	wait(t.ctx, t.Flood)
	return t.roundTrip()
}
