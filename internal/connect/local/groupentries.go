package local

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/entry"
	"github.com/conchmq/conch/internal/filter"
)

// passDirect passes on n entries that come behind a reply.
func (g *groups) passDirect(ctx context.Context, stream string, n int) error {
	for n > 0 {
		some, err := g.conn.next(ctx)
		if err != nil {
			return err
		}
		n -= len(some)
		d := &delivery{kind: durable}
		d.Messages, d.ids = make([]connect.Message, 0, len(some)), make([]string, 0, len(some))
		for i := range some {
			g.addDirect(d, stream, &some[i])
		}
		if err := g.outlet.pass(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// addDirect adds an entry to a delivery, or to those that the predicate holds back.
func (g *groups) addDirect(d *delivery, stream string, e *command.DirectEntry) {
	g.id = e.ID.Append(append(append(g.id[:0], stream...), '/'))
	id := string(g.id)
	g.entry.Reset(e.Fields)
	if !g.matches(stream) {
		d.filtered = append(d.filtered, entryID{stream, id[len(stream)+1:]})
		return
	}
	m := connect.Message{Topic: stream, Payload: g.payload(), ID: id, Time: time.UnixMilli(int64(e.ID.Ms))} //nolint:gosec // a time
	if g.entry.HasHeaders() {
		var texts [][]byte
		for f := e.Fields; f.Len() > 0; {
			text, _ := f.Next()
			texts = append(texts, text)
		}
		m.Headers = headers(texts)
	}
	d.Messages, d.ids = append(d.Messages, m), append(d.ids, id[len(stream)+1:])
}

// matches reports whether the predicate takes the entry, and counts it if not.
func (g *groups) matches(stream string) bool {
	where := g.outlet.where
	if where == nil {
		return true
	}
	g.message.ResetSource([]byte(stream), &g.entry, filter.Limits{})
	if where.Match(&g.message) == filter.Yes {
		return true
	}
	g.outlet.mu.Lock()
	defer g.outlet.mu.Unlock()
	g.outlet.counts.Filtered++
	return false
}

// payload is that of the entry.
func (g *groups) payload() []byte {
	if g.entry.IsWhole() {
		return g.entry.Payload() // one of its texts
	}
	return g.entry.AppendPayload(nil)
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
	if tries != nil && g.skipped[id] {
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
	if !g.matches(stream) {
		d.filtered = append(d.filtered, entryID{stream, id})
		return 0
	}
	m := connect.Message{Topic: stream, Payload: g.payload(), ID: stream + "/" + id}
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
