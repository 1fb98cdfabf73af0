package history_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/history"
)

func good() history.History {
	items := []history.Item{{3, "a1"}, {5, "b1"}, {6, "a2"}, {9, "b3"}}
	view := func(name string, kind history.Kind, items ...history.Item) history.View {
		return history.View{Name: name, Kind: kind, Items: slices.Clone(items)}
	}
	h := history.History{
		Proposals: []history.Proposal{
			{"a1", "a", history.Answered},
			{"a2", "a", history.Unknown},
			{"a3", "a", history.Refused},
			{"b1", "b", history.Answered},
			{"b2", "b", history.Unknown},
			{"b3", "b", history.Answered},
		},
		Views: []history.View{
			view("x", history.Whole, items...), view("y", history.Whole, items...), view("gone", history.Prefix, items[:2]...),
			view("subscriber", history.Part, items[0], items[3]), view("resumed", history.Gapped, items[1], items[3]),
		},
	}
	h.Views[4].Gaps = []history.Gap{{0, 4}, {5, 9}}
	h.Views[0].Digest, h.Views[1].Digest = 7, 7
	return h
}

// Each check is seen to fail by a history in which one thing is wrong.
func TestEachCheckFails(t *testing.T) {
	require.NoError(t, history.Check(good()))
	for _, test := range []struct {
		problem string
		spoil   func(h *history.History)
	}{
		{`x: "z" was never proposed`, func(h *history.History) { h.Views[0].Items[0].ID = "z" }},
		{"x: a2 took effect, and was answered as if it had none", func(h *history.History) { h.Proposals[1].Fate = history.Refused }},
		{"x: a1 is there twice", func(h *history.History) { h.Views[0].Items[2].ID = "a1" }},
		{"subscriber: b3 at 2 comes behind a1 at 3", func(h *history.History) { h.Views[3].Items[1].Place = 2 }},
		{"x: a1 comes behind a2, and a proposed it before", func(h *history.History) {
			h.Views[0].Items[0].ID, h.Views[0].Items[2].ID = "a2", "a1"
		}},
		{"x: b2 was answered, and is not there", func(h *history.History) { h.Proposals[4].Fate = history.Answered }},
		{"y has a2 and x has b1 as item 1", func(h *history.History) {
			items := h.Views[1].Items
			items[1].ID, items[2].ID = items[2].ID, items[1].ID
		}},
		{"y has 3 items, and x 4", func(h *history.History) {
			h.Views[1].Items = h.Views[1].Items[:3]
			h.Proposals[5].Fate = history.Unknown // in all or in none
		}},
		{"gone has b3 and x has b1 as item 1", func(h *history.History) { h.Views[2].Items[1] = history.Item{9, "b3"} }},
		{"at 9, subscriber has a2 and gone has b3", func(h *history.History) {
			h.Views[2].Items = append(h.Views[2].Items, history.Item{6, "a2"}, history.Item{9, "b3"})
			h.Views[3].Items[1].ID = "a2"
		}},
		{"resumed: a2 at 6 is not there, and nothing reported that", func(h *history.History) { h.Views[4].Gaps[1].After = 6 }},
		{"resumed: a1 at 3 is not there, and nothing reported that", func(h *history.History) { h.Views[4].Gaps[0].Before = 3 }},
		{"the states differ: [x y]", func(h *history.History) { h.Views[0].Digest = 8 }},
		{"the history itself is wrong: a1 was proposed twice", func(h *history.History) { h.Proposals[1].ID = "a1" }},
	} {
		h := good()
		test.spoil(&h)
		assert.ErrorContains(t, history.Check(h), test.problem)
	}
}
