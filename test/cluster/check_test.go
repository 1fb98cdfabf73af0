//go:build cluster

package cluster

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/history"
)

// check compares all that was seen. The load has ended, and all nodes run.
func (c *nodes) check(l *load, w *watchers, f *figures) error {
	scans, failure := []*scan(nil), error(nil)
	err := await("all nodes have the same state", func() bool {
		scans, failure = c.scanAll()
		return failure == nil && !slices.ContainsFunc(scans, func(s *scan) bool { return s.streams.Digest != scans[0].streams.Digest })
	})
	if failure != nil {
		return errors.Join(err, failure)
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, differences(scans))
	}
	views, epochs := map[byte][]history.View{}, map[string]bool{}
	for _, s := range scans {
		views['d'] = append(views['d'], s.durable)
		views['s'] = append(views['s'], s.streams)
		maps.Copy(epochs, s.epochs)
	}
	f.entries = len(scans[0].streams.Items) + len(scans[0].durable.Items)
	f.delivered = l.group.delivered
	for kind, all := range w.all {
		for _, one := range all {
			err = errors.Join(err, one.err)
			if kind == 'd' && one.missed+one.reconnected > 0 {
				err = errors.Join(err, fmt.Errorf("%s: the log has all, and %d losses were reported, in %v, and %d reconnections", one.view.Name, one.missed, one.view.Gaps, one.reconnected))
			}
			views[kind] = append(views[kind], one.view)
			maps.Copy(epochs, one.epochs)
			f.resumed += one.resumed
			f.reconnected += one.reconnected
			f.missed += one.missed
		}
	}
	if len(epochs) != 1 {
		err = errors.Join(err, fmt.Errorf("one order has the epochs %v", epochs))
	}
	for kind, book := range l.ledgers {
		f.answered += book.counts[history.Answered]
		f.unknown += book.counts[history.Unknown]
		f.refused += book.counts[history.Refused]
		h := book.history(views[kind])
		err = errors.Join(err, history.Check(h))
		if kind != 'd' {
			continue // spoiling all of it would take longer than the faults
		}
		if all := unnoticed(h); len(all) > 0 {
			err = errors.Join(err, fmt.Errorf("the checker does not notice %q", all))
		}
	}
	return errors.Join(err, l.group.check(scans[0].jobs))
}

// scan is all that the streams of a node have.
type scan struct {
	durable, streams history.View
	jobs             map[client.EntryID]string
	epochs           map[string]bool
	digest           hash.Hash64 // of all entries and groups
	texts            []string    // what the digest is of, to show a difference
}

// write adds a text to the digest.
func (s *scan) write(text string) {
	_, _ = s.digest.Write([]byte(text)) // a hash never fails
	s.texts = append(s.texts, text)
}

// differences returns the first text of each node that the first node does not have at its place.
func differences(scans []*scan) string {
	var all strings.Builder
	for _, s := range scans[1:] {
		first := scans[0].texts
		for i, text := range s.texts {
			if i >= len(first) || text != first[i] {
				_, _ = fmt.Fprintf(&all, "\n%s, %d of %d: %.3000s", s.durable.Name, i, len(s.texts), text) // a builder never fails
				if i < len(first) {
					_, _ = fmt.Fprintf(&all, "\n%s, %d of %d: %.3000s", scans[0].durable.Name, i, len(first), first[i])
				}
				break
			}
		}
	}
	return all.String()
}

// scanAll scans each node.
func (c *nodes) scanAll() (all []*scan, err error) {
	for _, n := range c.all {
		s := &scan{}
		if err := s.read(c, n); err != nil {
			return nil, fmt.Errorf("%s: %w", n.name, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// seenTime is when a command named a consumer last. It is no part of the state: what read nothing leaves no record, so a node that starts again
// has an older one.
var seenTime = regexp.MustCompile(`seen-time\r\n:\d+\r\n`)

// read reads the entries of all streams in the one order, then the streams and their groups.
func (s *scan) read(c *nodes, n *node) error {
	s.durable = history.View{Name: n.name, Kind: history.Whole}
	s.streams, s.digest = s.durable, fnv.New64a()
	s.jobs, s.epochs = map[client.EntryID]string{}, map[string]bool{}
	reader, names := c.connect(n), map[string]bool{}
	defer func() { _ = reader.Close() }() // always nil
	for e, err := range reader.Entries(context.Background(), client.Query{Streams: []string{"*"}}) {
		if err != nil {
			return err
		}
		names[e.Stream] = true
		if err := s.add(e); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		frame, err := n.request("XINFO", "STREAM", name, "FULL", "COUNT", "1")
		if err != nil {
			return err
		}
		s.write(seenTime.ReplaceAllString(frame, ""))
	}
	s.durable.Digest, s.streams.Digest = s.digest.Sum64(), s.digest.Sum64()
	return nil
}

func (s *scan) add(e *client.Entry) error {
	epoch, number, _ := strings.Cut(e.Position, "-")
	place, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return err
	}
	s.epochs[epoch] = true
	s.write(fmt.Sprintf("%q", *e))
	item := history.Item{Place: place, ID: idOf(e.Get("message"))}
	view := &s.streams
	if e.Stream[0] == 'd' {
		view = &s.durable
	}
	view.Items = append(view.Items, item)
	if e.Stream == jobs {
		s.jobs[e.ID] = item.ID
	}
	return nil
}
