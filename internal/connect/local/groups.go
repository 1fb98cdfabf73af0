package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/entry"
	"github.com/conchmq/conch/internal/filter"
)

const (
	maxStreams  = 1000 // that one sink reads
	maxEntries  = 1000 // of one read, and of one delivery
	consumer    = "conch"
	blockedTime = time.Second // of one read: then streams that are new are looked for
)

// groups reads the entries of durable topics for a sink. It is one goroutine's.
type groups struct {
	outlet  *outlet
	conn    *conn
	group   string
	streams []string        // that have the group
	last    uint64          // the number of the last stream that was looked at
	skipped map[string]bool // pending entries of one stream that are on their way
	entry   entry.Message
	message filter.Message
	id      []byte
}

// readGroups passes entries on until an error: first those that are pending, from before.
func (o *outlet) readGroups(ctx context.Context) error {
	c, err := o.broker.open("connector:" + o.Name)
	if err != nil {
		return err
	}
	defer c.close()
	g := &groups{outlet: o, conn: c, group: "connect:" + o.Name}
	if _, err := c.do(ctx, "CLIENT", "SETNAME", "sink:"+o.Name); err != nil {
		return err
	}
	if err := g.find(ctx); err != nil {
		return err
	}
	o.setFailed(durable, nil)
	_, pending := o.broker.service.GroupBacklog(g.group, g.streams)
	for _, stream := range pending {
		if err := g.readPending(ctx, stream); err != nil {
			return err
		}
	}
	for {
		if len(g.streams) == 0 {
			if err := wait(ctx, blockedTime); err != nil {
				return err
			}
		} else if err := g.readNew(ctx); err != nil {
			return err
		}
		if err := g.find(ctx); err != nil {
			return err
		}
		g.countLag()
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// find makes the group in streams that are new, and match.
func (g *groups) find(ctx context.Context) error {
	s := g.outlet.broker.service
	globs, matcher := s.DurableTopics(), new(broker.Matcher)
	var found []string
	last, ok := s.StreamNames(g.last, func(name string) {
		matcher.Steps = 0
		if matcher.Match(g.outlet.Topic, []byte(name)) && globs.Match([]byte(name), matcher) {
			found = append(found, name)
		}
	})
	if !ok {
		return errStopping
	}
	if len(g.streams)+len(found) > maxStreams {
		return fmt.Errorf("the topic of a sink may match %d durable topics, and %s matches more", maxStreams, g.outlet.Topic)
	}
	for _, name := range found {
		_, err := g.conn.do(ctx, "XGROUP", "CREATE", name, g.group, "0")
		if no := new(refusal); errors.As(err, &no) && (strings.HasPrefix(no.text, "BUSYGROUP") || strings.Contains(no.text, "requires the key to exist")) {
			err = nil // it is there, or the stream has gone meanwhile
		}
		if err != nil {
			return err
		}
	}
	for _, name := range found {
		if !slices.Contains(g.streams, name) {
			g.streams = append(g.streams, name)
		}
	}
	g.last = last
	return nil
}

// countLag counts the entries that the group has not reached.
func (g *groups) countLag() {
	lag, _ := g.outlet.broker.service.GroupBacklog(g.group, g.streams)
	g.outlet.mu.Lock()
	defer g.outlet.mu.Unlock()
	g.outlet.counts.Lag = lag
}

// readNew waits for entries, and passes them on.
func (g *groups) readNew(ctx context.Context) error {
	args := []string{
		"XREADGROUP", "GROUP", g.group, consumer, "COUNT", strconv.Itoa(maxEntries), "MAXCOUNT", strconv.Itoa(maxEntries),
		"BLOCK", strconv.FormatInt(blockedTime.Milliseconds(), 10), "STREAMS",
	}
	args = append(args, g.streams...)
	for range g.streams {
		args = append(args, ">")
	}
	if err := g.conn.send(ctx, args...); err != nil {
		return err
	}
	streams, err := g.conn.length(ctx)
	if no := new(refusal); errors.As(err, &no) && strings.HasPrefix(no.text, "NOGROUP") {
		g.streams, g.last = nil, 0 // a stream or its group is gone: find looks at all again
		return nil
	}
	if err != nil {
		return err
	}
	for range streams {
		stream, err := g.conn.value(ctx)
		if err != nil {
			return err
		}
		n, isDirect, err := g.conn.entries(ctx)
		if err != nil {
			return err
		}
		if isDirect {
			err = g.passDirect(ctx, string(asText(stream)), n)
		} else {
			_, err = g.passEntries(ctx, string(asText(stream)), n, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readPending passes on what is pending in one stream from before.
func (g *groups) readPending(ctx context.Context, stream string) error {
	for last := "0-0"; last != ""; {
		tries, err := g.tries(ctx, stream, last)
		if err != nil {
			return err
		}
		g.skipped = g.outlet.flyingOf(stream) // before the reply: what is acknowledged behind it is in there as pending
		if err := g.conn.send(ctx, "XREADGROUP", "GROUP", g.group, consumer, "COUNT", strconv.Itoa(maxEntries), "STREAMS", stream, last); err != nil {
			return err
		}
		if _, err := g.conn.length(ctx); err != nil {
			return err
		}
		if _, err := g.conn.value(ctx); err != nil {
			return err
		}
		n, err := g.conn.length(ctx)
		if err != nil {
			return err
		}
		if last, err = g.passEntries(ctx, stream, n, tries); err != nil {
			return err
		}
	}
	return nil
}

// tries are the deliveries of pending entries behind an id.
func (g *groups) tries(ctx context.Context, stream, after string) (map[string]int, error) {
	v, err := g.conn.do(ctx, "XPENDING", stream, g.group, "("+after, "+", strconv.Itoa(maxEntries), consumer)
	if err != nil {
		return nil, err
	}
	rows, _ := v.([]any)
	tries := make(map[string]int, len(rows))
	for _, row := range rows {
		if r, ok := row.([]any); ok && len(r) == 4 {
			n, _ := r[3].(int64)
			tries[string(asText(r[0]))] = int(n)
		}
	}
	return tries, nil
}
