//go:build cluster

package cluster

import (
	"fmt"
	"slices"

	"github.com/conchmq/conch/internal/history"
)

// unnoticed spoils what was really seen, one view after the other, and returns what the checker does not notice: a judge that finds nothing
// wrong must be able to.
func unnoticed(h history.History) (all []string) {
	for i, v := range h.Views {
		if v.Kind == history.Part || len(v.Items) < 3 {
			continue
		}
		middle := len(v.Items) / 2
		for what, spoil := range map[string]func(items []history.Item) []history.Item{
			"a double": func(items []history.Item) []history.Item { return slices.Insert(items, middle, items[middle-1]) },
			"a gap":    func(items []history.Item) []history.Item { return slices.Delete(items, middle, middle+1) },
			"a swap": func(items []history.Item) []history.Item {
				items[middle].ID, items[middle-1].ID = items[middle-1].ID, items[middle].ID
				return items
			},
		} {
			spoiled := h
			spoiled.Views = slices.Clone(h.Views)
			spoiled.Views[i].Items = spoil(slices.Clone(v.Items))
			if history.Check(spoiled) == nil {
				all = append(all, fmt.Sprintf("%s in %s", what, v.Name))
			}
		}
	}
	return all
}
