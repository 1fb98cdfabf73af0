//go:build cluster

package cluster

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/history"
)

// watcher is a subscriber that notes what it gets, and which losses are reported to it, until the last message.
type watcher struct {
	view   history.View
	client *client.Client
	sub    *client.Subscription
	epochs map[string]bool

	resumed, reconnected, missed int
	open                         bool // the last gap ends at the next message
	err                          error
}

// last is what the topic of the last message ends with.
const last = ".end"

// watch subscribes to a pattern on some nodes, one after the other.
func (c *nodes) watch(glob string, to ...*node) (*watcher, error) {
	names := make([]string, len(to))
	for i, n := range to {
		names[i] = n.name
	}
	w := &watcher{
		view:   history.View{Name: fmt.Sprintf("the subscriber to %s on %s", glob, strings.Join(names, ",")), Kind: history.Gapped},
		client: c.connect(to...), epochs: map[string]bool{},
	}
	var err error
	w.sub, err = w.client.Subscribe(context.Background(), client.Pattern(glob))
	return w, err
}

// run notes all events up to the last message.
func (w *watcher) run(ctx context.Context) {
	for e, err := range w.sub.All(ctx) {
		if err != nil {
			w.err = fmt.Errorf("%s: %w", w.view.Name, err)
			return
		}
		if m, ok := e.(*client.Message); ok {
			w.note(m)
			if strings.HasSuffix(m.Topic, last) {
				return
			}
			continue
		}
		w.noteLoss(e)
	}
}

func (w *watcher) note(m *client.Message) {
	if w.open {
		w.view.Gaps[len(w.view.Gaps)-1].Before, w.open = m.Sequence, false
	}
	w.epochs[m.Epoch] = true
	w.view.Items = append(w.view.Items, history.Item{Place: m.Sequence, ID: idOf(string(m.Payload))})
}

func (w *watcher) noteLoss(e client.Event) {
	switch e := e.(type) {
	case *client.Resumed:
		w.resumed++
		w.epochs[e.Epoch] = true
	case *client.Reconnected:
		w.reconnected++
		w.epochs[e.Epoch] = true
		if e.After < e.Before {
			w.view.Gaps = append(w.view.Gaps, history.Gap{After: e.After, Before: e.Before + 1})
		}
	case *client.Missed:
		w.missed++
		g := history.Gap{After: e.After, Before: e.Before}
		if items := w.view.Items; g.After == 0 && len(items) > 0 {
			g.After = items[len(items)-1].Place
		}
		if g.Before == 0 {
			g.Before, w.open = math.MaxUint64, true
		}
		w.view.Gaps = append(w.view.Gaps, g)
	}
}

func (w *watcher) close() {
	if w.sub != nil {
		_ = w.sub.Close() // always nil
	}
	_ = w.client.Close() // always nil
}

// watchers are subscribers at each node, and some that go from one to another, by the first letter of the topics.
type watchers struct {
	all   map[byte][]*watcher
	tasks sync.WaitGroup
}

func (c *nodes) startWatchers(ctx context.Context) (*watchers, error) {
	w := &watchers{all: map[byte][]*watcher{}}
	for _, kind := range []byte{'p', 'd'} {
		for i := range 2 * count {
			to := c.from(i)
			if i < count {
				to = to[:1]
			}
			one, err := c.watch(string(kind)+".*", to...)
			w.all[kind] = append(w.all[kind], one)
			if err != nil {
				return w, err
			}
			w.tasks.Go(func() { one.run(ctx) })
		}
	}
	return w, nil
}

func (w *watchers) close() {
	for _, kind := range w.all {
		for _, one := range kind {
			one.close()
		}
	}
	w.tasks.Wait()
}
