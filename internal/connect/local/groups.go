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
	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/entry"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/outbox"
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
	streams []string // that have the group
	last    uint64   // the number of the last stream that was looked at
	entry   entry.Message
	message filter.Message
}

// readGroups passes entries on until an error: first those that are pending, from before.
func (o *outlet) readGroups(ctx context.Context) error {
	c, err := o.broker.open("connector:"+o.Name, outbox.DropOldest)
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
		n, err := g.conn.length(ctx)
		if err != nil {
			return err
		}
		if _, err := g.passEntries(ctx, string(asText(stream)), n, nil); err != nil {
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

// passEntries reads n entries of a reply, passes them on, and returns the id of the last one.
func (g *groups) passEntries(ctx context.Context, stream string, n int, tries map[string]int) (last string, err error) {
	d, size := &delivery{kind: durable}, 0
	flush := func() error {
		if len(d.Messages)+len(d.filtered) == 0 {
			return nil
		}
		full := d
		d, size = &delivery{kind: durable}, 0
		return g.outlet.pass(ctx, full)
	}
	for range n {
		v, err := g.conn.value(ctx)
		if err != nil {
			return "", err
		}
		row, ok := v.([]any)
		if !ok || len(row) < 2 {
			return "", errors.New("a defect in an entry")
		}
		last = string(asText(row[0]))
		size += g.add(d, stream, last, row[1], tries)
		if size >= maxDelivery {
			if err := flush(); err != nil {
				return "", err
			}
		}
	}
	return last, flush()
}

// add adds an entry to a delivery, or to those that are acknowledged at once: it was deleted, or the predicate holds it back.
func (g *groups) add(d *delivery, stream, id string, fields any, tries map[string]int) (size int) {
	list, ok := fields.([]any)
	if tries != nil && g.outlet.isFlying(stream, id) {
		return 0
	}
	if !ok {
		d.filtered = append(d.filtered, entryID{stream, id})
		return 0
	}
	texts := make([][]byte, len(list))
	for i, text := range list {
		texts[i] = asText(text)
	}
	g.entry.ResetTexts(texts)
	if where := g.outlet.where; where != nil {
		g.message.ResetSource([]byte(stream), &g.entry, filter.Limits{})
		if where.Match(&g.message) != filter.Yes {
			d.filtered = append(d.filtered, entryID{stream, id})
			g.outlet.mu.Lock()
			g.outlet.counts.Filtered++
			g.outlet.mu.Unlock()
			return 0
		}
	}
	payload := g.entry.Payload() // one of the texts
	if !g.entry.IsWhole() {
		payload = g.entry.AppendPayload(nil)
	}
	m := connect.Message{Topic: stream, Payload: payload, ID: stream + "/" + id}
	if ms, _, ok := strings.Cut(id, "-"); ok {
		if at, err := strconv.ParseInt(ms, 10, 64); err == nil {
			m.Time = time.UnixMilli(at)
		}
	}
	if g.entry.HasHeaders() {
		m.Headers = headers(texts)
	}
	if tries != nil && d.Tries == nil {
		d.Tries = make([]int, len(d.Messages), len(d.Messages)+1)
	}
	if d.Tries != nil {
		d.Tries = append(d.Tries, tries[id])
	}
	d.Messages, d.ids = append(d.Messages, m), append(d.ids, id)
	return len(m.Payload)
}

// headers are the fields of an entry but for the first one that is the message.
func headers(texts [][]byte) (all []connect.Header) {
	found := false
	for i := 0; i+1 < len(texts); i += 2 {
		if !found && string(texts[i]) == entry.Field {
			found = true
			continue
		}
		all = append(all, connect.Header{Name: string(texts[i]), Value: string(texts[i+1])})
	}
	return all
}

// acknowledge acknowledges entries, those of a stream together. It returns once the log has that.
func (o *outlet) acknowledge(ctx context.Context, entries []entryID) error {
	byStream := make(map[string][]string)
	var streams []string
	for _, e := range entries {
		if byStream[e.stream] == nil {
			streams = append(streams, e.stream)
		}
		byStream[e.stream] = append(byStream[e.stream], e.id)
	}
	if o.acks == nil {
		c, err := o.broker.open("connector:"+o.Name, outbox.DropOldest)
		if err != nil {
			return err
		}
		o.acks = c
	}
	for _, stream := range streams {
		_, err := o.acks.do(ctx, append([]string{"XACK", stream, "connect:" + o.Name}, byStream[stream]...)...)
		if no := new(refusal); errors.As(err, &no) {
			return fmt.Errorf("an acknowledgement is refused: %w", err)
		}
		if err != nil {
			o.acks.close()
			o.acks = nil
			return err
		}
	}
	return nil
}
