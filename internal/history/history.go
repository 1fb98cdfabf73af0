// Package history checks what several nodes made of what was proposed to them against the promise of one order. It knows neither nodes nor
// connections: tests in the process and tests of real processes give it what they saw.
package history

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Fate is what the proposer knows of a proposal.
type Fate int

// The fates.
const (
	Unknown  Fate = iota // it may have taken effect, or not
	Answered             // it was confirmed: it took effect, once
	Refused              // it never takes effect
)

// Proposal is what was proposed once.
type Proposal struct {
	ID     string // of no other proposal
	Origin string // proposals of one origin take effect in their order
	Fate   Fate
}

// Item is a proposal at its place in a sequence.
type Item struct {
	Place uint64 // grows within a sequence; it may have holes. 0 is an unknown place
	ID    string
}

// View is a sequence as it was seen in one place.
type View struct {
	Name  string
	Items []Item
	Kind  Kind
	Gaps  []Gap // of a Gapped view
	// Digest is of the state behind the last item; 0 if it is not known.
	Digest uint64
}

// Kind is how much of the sequence a view has.
type Kind int

// The kinds of views.
const (
	Whole  Kind = iota // all of it
	Prefix             // all up to an item: a node that was removed or has stopped
	Part               // some of it: a subscriber that was away
	Gapped             // all up to its last item that any view has, but for what its gaps enclose: a subscriber, with the losses that were reported to it
)

// Gap encloses places whose loss was reported. Both ends are outside.
type Gap struct{ After, Before uint64 }

// History is what was proposed, each origin's proposals in order, and what was seen of it.
type History struct {
	Proposals []Proposal
	Views     []View
}

// most is how many problems of one kind are told.
const most = 3

// Check returns what is wrong, or nil.
func Check(h History) error {
	c := checker{History: h, number: make(map[string]int, len(h.Proposals))}
	for i, p := range h.Proposals {
		if _, twice := c.number[p.ID]; twice {
			return fmt.Errorf("the history itself is wrong: %s was proposed twice", p.ID)
		}
		c.number[p.ID] = i
	}
	var errs []error
	for _, check := range []func() []error{c.known, c.once, c.grow, c.ordered, c.fates, c.agree, c.gaps, c.samePlaces, c.sameDigests} {
		found := check()
		if len(found) > most {
			found = append(found[:most:most], fmt.Errorf("and %d more of that kind", len(found)-most))
		}
		errs = append(errs, found...)
	}
	return errors.Join(errs...)
}

type checker struct {
	History
	number map[string]int // of a proposal, by its ID
}

// known finds items that were never proposed, or that cannot have taken effect.
func (c *checker) known() (errs []error) {
	for _, v := range c.Views {
		for _, item := range v.Items {
			n, ok := c.number[item.ID]
			if !ok {
				errs = append(errs, fmt.Errorf("%s: %q was never proposed", v.Name, item.ID))
			} else if c.Proposals[n].Fate == Refused {
				errs = append(errs, fmt.Errorf("%s: %s took effect, and was answered as if it had none", v.Name, item.ID))
			}
		}
	}
	return errs
}

// once finds items that a view has twice.
func (c *checker) once() (errs []error) {
	for _, v := range c.Views {
		times := make(map[string]int, len(v.Items))
		for _, item := range v.Items {
			if times[item.ID]++; times[item.ID] == 2 {
				errs = append(errs, fmt.Errorf("%s: %s is there twice", v.Name, item.ID))
			}
		}
	}
	return errs
}

// grow finds places that do not grow.
func (c *checker) grow() (errs []error) {
	for _, v := range c.Views {
		last := Item{}
		for _, item := range v.Items {
			if item.Place > 0 && item.Place <= last.Place {
				errs = append(errs, fmt.Errorf("%s: %s at %d comes behind %s at %d", v.Name, item.ID, item.Place, last.ID, last.Place))
			}
			last = item
		}
	}
	return errs
}

// ordered finds proposals of one origin that took effect in another order.
func (c *checker) ordered() (errs []error) {
	for _, v := range c.Views {
		last := map[string]int{}
		for _, item := range v.Items {
			n, ok := c.number[item.ID]
			if !ok {
				continue
			}
			origin := c.Proposals[n].Origin
			if before, any := last[origin]; any && n < before {
				errs = append(errs, fmt.Errorf("%s: %s comes behind %s, and %s proposed it before", v.Name, item.ID, c.Proposals[before].ID, origin))
			}
			last[origin] = n
		}
	}
	return errs
}

// fates finds answered proposals that a whole view lacks.
func (c *checker) fates() (errs []error) {
	for _, v := range c.Views {
		if v.Kind != Whole {
			continue
		}
		has := make(map[string]bool, len(v.Items))
		for _, item := range v.Items {
			has[item.ID] = true
		}
		for _, p := range c.Proposals {
			if p.Fate == Answered && !has[p.ID] {
				errs = append(errs, fmt.Errorf("%s: %s was answered, and is not there", v.Name, p.ID))
			}
		}
	}
	return errs
}

// agree finds whole views that differ, so that an unknown fate is in all of them or in none, and prefixes that are none.
func (c *checker) agree() (errs []error) {
	i := slices.IndexFunc(c.Views, func(v View) bool { return v.Kind == Whole })
	if i < 0 {
		return nil
	}
	first := c.Views[i]
	for _, v := range c.Views {
		if v.Kind == Part || v.Kind == Gapped {
			continue
		}
		same := 0
		for same < min(len(v.Items), len(first.Items)) && v.Items[same] == first.Items[same] {
			same++
		}
		switch {
		case same < len(v.Items) && same < len(first.Items):
			errs = append(errs, fmt.Errorf("%s has %s and %s has %s as item %d", v.Name, v.Items[same].ID, first.Name, first.Items[same].ID, same))
		case same < len(v.Items), v.Kind == Whole && same < len(first.Items):
			errs = append(errs, fmt.Errorf("%s has %d items, and %s %d", v.Name, len(v.Items), first.Name, len(first.Items)))
		}
	}
	return errs
}

// gaps finds items that a view lacks, though nothing reported that.
func (c *checker) gaps() (errs []error) {
	all := map[uint64]string{}
	for _, v := range c.Views {
		for _, item := range v.Items {
			all[item.Place] = item.ID
		}
	}
	delete(all, 0)
	places := slices.Sorted(maps.Keys(all))
	for _, v := range c.Views {
		if v.Kind != Gapped {
			continue
		}
		has, last := make(map[uint64]bool, len(v.Items)), uint64(0)
		for _, item := range v.Items {
			has[item.Place], last = true, max(last, item.Place)
		}
		for _, place := range places {
			in := func(g Gap) bool { return g.After < place && place < g.Before }
			if place < last && !has[place] && !slices.ContainsFunc(v.Gaps, in) {
				errs = append(errs, fmt.Errorf("%s: %s at %d is not there, and nothing reported that", v.Name, all[place], place))
			}
		}
	}
	return errs
}

// samePlaces finds places that have different items in different views.
func (c *checker) samePlaces() (errs []error) {
	type seen struct{ id, view string }
	at := map[uint64]seen{}
	for _, v := range c.Views {
		for _, item := range v.Items {
			if item.Place == 0 {
				continue
			}
			if other, ok := at[item.Place]; ok && other.id != item.ID {
				errs = append(errs, fmt.Errorf("at %d, %s has %s and %s has %s", item.Place, v.Name, item.ID, other.view, other.id))
			}
			at[item.Place] = seen{item.ID, v.Name}
		}
	}
	return errs
}

// sameDigests finds whole views with different digests.
func (c *checker) sameDigests() (errs []error) {
	digests := map[uint64]string{}
	for _, v := range c.Views {
		if v.Kind == Whole && v.Digest != 0 {
			digests[v.Digest] = v.Name
		}
	}
	if len(digests) > 1 {
		errs = append(errs, fmt.Errorf("the states differ: %v", slices.Sorted(maps.Values(digests))))
	}
	return errs
}
