//go:build cluster

package cluster

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/history"
)

// ledger is what was proposed to topics, or streams, of one kind, and what came of it. Any goroutine may note something.
type ledger struct {
	mu        sync.Mutex
	proposals []history.Proposal
	answers   map[string]*history.View // by origin: what publishers were answered
	counts    [3]int                   // by fate
}

func newLedger() *ledger { return &ledger{answers: map[string]*history.View{}} }

// note notes the outcome of a proposal. What has an unknown outcome may take effect later than what its origin proposes next.
func (l *ledger) note(origin, id string, sequence uint64, err error) {
	p := history.Proposal{ID: id, Origin: origin, Fate: history.Refused}
	switch {
	case err == nil:
		p.Fate = history.Answered
	case errors.Is(err, client.ErrOutcomeUnknown):
		p.Fate, p.Origin = history.Unknown, id
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proposals = append(l.proposals, p)
	l.counts[p.Fate]++
	if sequence > 0 {
		if l.answers[origin] == nil {
			l.answers[origin] = &history.View{Name: "the answers to " + origin, Kind: history.Part}
		}
		l.answers[origin].Items = append(l.answers[origin].Items, history.Item{Place: sequence, ID: id})
	}
}

// history is all of it with what was seen. The load has ended.
func (l *ledger) history(views []history.View) history.History {
	h := history.History{Proposals: l.proposals, Views: views}
	for _, v := range l.answers {
		h.Views = append(h.Views, *v)
	}
	return h
}

// payload has the id of a proposal in front of some bytes.
func payload(id string, more int) string { return id + " " + strings.Repeat("x", more) }

func idOf(payload string) string {
	id, _, _ := strings.Cut(payload, " ")
	return id
}

// figures are what a plan came to.
type figures struct {
	answered, unknown, refused, entries, delivered    int
	failovers, resumed, reconnected, missed, replaced int
	faults                                            map[string]int
}

func (f *figures) add(o figures) {
	f.answered += o.answered
	f.unknown += o.unknown
	f.refused += o.refused
	f.entries += o.entries
	f.delivered += o.delivered
	f.failovers += o.failovers
	f.resumed += o.resumed
	f.reconnected += o.reconnected
	f.missed += o.missed
	f.replaced += o.replaced
	if f.faults == nil {
		f.faults = map[string]int{}
	}
	for name, n := range o.faults {
		f.faults[name] += n
	}
}

func (f *figures) String() string {
	return fmt.Sprintf("%d answered, %d of unknown outcome, %d refused; %d entries; %d deliveries of a group; %d terms; subscribers: %d times resumed, %d reconnected, %d losses reported; %d nodes replaced; faults %v",
		f.answered, f.unknown, f.refused, f.entries, f.delivered, f.failovers, f.resumed, f.reconnected, f.missed, f.replaced, f.faults)
}
