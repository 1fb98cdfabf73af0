package stream

import (
	"slices"
	"sort"
)

// maxGroup is how many streams a group has.
const maxGroup = 512

// numbered has streams in the order of their numbers, which is the order in which they were made. Groups keep a removal among a
// million short.
type numbered struct {
	groups [][]*Stream // none is empty
	count  int
}

// add appends a stream, which has the largest number.
func (n *numbered) add(st *Stream) {
	last := len(n.groups) - 1
	if last < 0 || len(n.groups[last]) == maxGroup {
		n.groups = append(n.groups, nil)
		last++
	}
	n.groups[last] = append(n.groups[last], st)
	n.count++
}

// place returns the group and the place in it of the first stream with that number or a larger one. Without one, the group is
// len(groups).
func (n *numbered) place(number uint64) (group, at int) {
	group = sort.Search(len(n.groups), func(i int) bool { return n.groups[i][len(n.groups[i])-1].number >= number })
	if group == len(n.groups) {
		return group, 0
	}
	streams := n.groups[group]
	if first := streams[0].number; number >= first && number-first < uint64(len(streams)) && streams[number-first].number == number {
		return group, int(number - first) // numbers without gaps
	}
	return group, sort.Search(len(streams), func(i int) bool { return streams[i].number >= number })
}

// get returns the stream with a number, or nil.
func (n *numbered) get(number uint64) *Stream {
	group, at := n.place(number)
	if group < len(n.groups) && n.groups[group][at].number == number {
		return n.groups[group][at]
	}
	return nil
}

// remove removes a stream.
func (n *numbered) remove(number uint64) {
	group, at := n.place(number)
	streams := slices.Delete(n.groups[group], at, at+1)
	n.groups[group] = streams
	n.count--
	switch {
	case len(streams) == 0:
		n.groups = slices.Delete(n.groups, group, group+1)
	case group > 0 && len(streams)+len(n.groups[group-1]) <= maxGroup/2:
		n.groups[group-1] = append(n.groups[group-1], streams...)
		n.groups = slices.Delete(n.groups, group, group+1)
	}
}

// from calls f for the streams from a number on, in order, until f returns false.
func (n *numbered) from(number uint64, f func(*Stream) bool) {
	group, at := n.place(number)
	for ; group < len(n.groups); group++ {
		for _, st := range n.groups[group][at:] {
			if !f(st) {
				return
			}
		}
		at = 0
	}
}
