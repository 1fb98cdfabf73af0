package stream

import (
	"cmp"
	"math"
	"strings"
)

// groups are the consumer groups of a stream.
type groups struct {
	byName   order[*Group]
	byNumber map[uint64]*Group
	next     uint64  // the number of the next one
	bytes    int64   // of all groups, about
	probe    Pending // what drop looks for
}

func newGroups() *groups {
	return &groups{
		byName:   newOrder(func(a, b *Group) int { return strings.Compare(a.name, b.name) }),
		byNumber: make(map[uint64]*Group), next: 1,
	}
}

// MaxGroupName bounds the name of a new group, and that of a new consumer, in bytes.
const MaxGroupName = 4096

// Group is a consumer group: a position in the stream, and the entries that were delivered and are not acknowledged yet.
type Group struct {
	name    string
	number  uint64
	last    ID     // of the entry that was delivered last, or what was set
	ordinal uint64 // of the newest entry up to last, when that was set
	// delivered is the entry that was delivered last, for behind: no part of the state.
	delivered struct {
		id      ID
		ordinal uint64
	}
	read     uint64 // entries-read
	released uint64 // counts releases, for their order
	missed   uint64 // entries that trims took before it read them

	consumers order[*Consumer] // by name
	numbered  map[uint64]*Consumer
	next      uint64          // the number of the next consumer
	pending   order[*Pending] // by id
	oldest    order[*Pending] // by the time of the delivery; released ones come first
	unowned   int             // how many are released
}

// Consumer is one of a group.
type Consumer struct {
	name    string
	number  uint64
	seen    int64 // when a command named it last; no part of the state: an empty read leaves no record
	active  int64 // when it got entries last; -1 for never
	pending order[*Pending]
}

// Pending is an entry that was delivered and is not acknowledged. It does not change: another one takes its place.
type Pending struct {
	id       ID
	at       int64 // of the delivery, in milliseconds. Of a released one: its place among those, below all times
	count    uint64
	consumer *Consumer // nil for a released one
}

func byID(a, b *Pending) int { return a.id.Compare(b.id) }

func byTime(a, b *Pending) int {
	if a.at != b.at {
		return cmp.Compare(a.at, b.at)
	}
	return a.id.Compare(b.id)
}

func newGroup(name string, number uint64) *Group {
	return &Group{
		name: name, number: number, next: 1, numbered: make(map[uint64]*Consumer),
		consumers: newOrder(func(a, b *Consumer) int { return strings.Compare(a.name, b.name) }),
		pending:   newOrder(byID), oldest: newOrder(byTime),
	}
}

// What the parts of a group take, with their places in maps and orders.
const (
	groupBytes    = 600
	consumerBytes = 320
	pendingBytes  = 80
)

// bytes is about what the group takes.
func (g *Group) bytes() int64 {
	n := int64(groupBytes + len(g.name) + g.pending.count*pendingBytes)
	g.consumers.each(func(c *Consumer) bool {
		n += int64(consumerBytes + len(c.name))
		return true
	})
	return n
}

// Group returns the group with that name, or nil.
func (st *Stream) Group(name []byte) *Group {
	if st.groups == nil {
		return nil
	}
	g, ok := st.groups.byName.at(st.groups.byName.seek(func(g *Group) bool { return g.name < string(name) }))
	if !ok || g.name != string(name) {
		return nil
	}
	return g
}

// Groups returns how many groups the stream has.
func (st *Stream) Groups() int {
	if st.groups == nil {
		return 0
	}
	return st.groups.byName.count
}

// EachGroup calls f for the groups in the order of their names, until it returns false.
func (st *Stream) EachGroup(f func(*Group) bool) {
	if st.groups != nil {
		st.groups.byName.each(f)
	}
}

// Lag counts the entries that the group has yet to read.
func (st *Stream) Lag(g *Group) int {
	next, ok := g.last.Next()
	if !ok || st.ids.live == 0 {
		return 0
	}
	v := st.ids.view()
	return int(st.ids.live - v.rank(v.seek(next)))
}

// Name returns the name of the group.
func (g *Group) Name() string { return g.name }

// Last returns the id of the entry that was delivered last.
func (g *Group) Last() ID { return g.last }

// Read counts the entries of the stream up to the last one that was delivered.
func (g *Group) Read() uint64 { return g.read }

// Pending returns how many entries are pending.
func (g *Group) Pending() int { return g.pending.count }

// Unowned returns how many of them no consumer has, because they were released.
func (g *Group) Unowned() int { return g.unowned }

// Bounds returns the smallest and the largest id that is pending. There must be one.
func (g *Group) Bounds() (low, high ID) {
	first, _ := g.pending.first()
	return first.id, g.pending.last().id
}

// Consumers returns how many consumers the group has.
func (g *Group) Consumers() int { return g.consumers.count }

// EachConsumer calls f for the consumers in the order of their names, until it returns false.
func (g *Group) EachConsumer(f func(*Consumer) bool) { g.consumers.each(f) }

// Consumer returns the consumer with that name, or nil.
func (g *Group) Consumer(name []byte) *Consumer {
	c, ok := g.consumers.at(g.consumers.seek(func(c *Consumer) bool { return c.name < string(name) }))
	if !ok || c.name != string(name) {
		return nil
	}
	return c
}

// behind returns the ordinal of the first entry behind the last one of the group, alive or not.
func (g *Group) behind(v *view) uint64 {
	if d := &g.delivered; d.ordinal > 0 && d.id == g.last {
		return max(d.ordinal+1, v.first)
	}
	next, ok := g.last.Next()
	if !ok {
		return v.next
	}
	return v.seek(next)
}

// EachPending calls f for what is pending from..to, by id, until it returns false.
func (g *Group) EachPending(from, to ID, f func(*Pending) bool) { eachPending(&g.pending, from, to, f) }

func eachPending(o *order[*Pending], from, to ID, f func(*Pending) bool) {
	at := o.seek(func(p *Pending) bool { return p.id.Less(from) })
	o.from(at, func(p *Pending) bool { return !to.Less(p.id) && f(p) })
}

// NextIdle returns when the pending entry that has waited longest will have waited for so long. It is false if none is pending.
func (g *Group) NextIdle(minIdle int64) (at int64, ok bool) {
	p, ok := g.oldest.first()
	if !ok {
		return 0, false
	}
	if p.consumer == nil {
		return 0, true
	}
	if p.at > math.MaxInt64-minIdle {
		return math.MaxInt64, true
	}
	return p.at + minIdle, true
}

// lookup returns what is pending under an id, or nil.
func (g *Group) lookup(id ID) *Pending {
	p, ok := g.pending.at(g.pending.seek(func(p *Pending) bool { return p.id.Less(id) }))
	if !ok || p.id != id {
		return nil
	}
	return p
}

// Name returns the name of the consumer.
func (c *Consumer) Name() string { return c.name }

// Pending returns how many entries it has.
func (c *Consumer) Pending() int { return c.pending.count }

// EachPending calls f for its entries from..to, by id, until it returns false.
func (c *Consumer) EachPending(from, to ID, f func(*Pending) bool) {
	eachPending(&c.pending, from, to, f)
}

// Seen is when a command named it last.
func (c *Consumer) Seen() int64 { return c.seen }

// Active is when it got entries last, -1 for never.
func (c *Consumer) Active() int64 { return c.active }

// See notes that a command names the consumer. It changes no state.
func (c *Consumer) See(now int64) { c.seen = max(c.seen, now) }

// ID returns the id of the entry.
func (p *Pending) ID() ID { return p.id }

// Consumer returns the name of the one that has it, nothing for a released entry.
func (p *Pending) Consumer() string {
	if p.consumer == nil {
		return ""
	}
	return p.consumer.name
}

// owner is the number of the consumer, 0 for a released entry.
func (p *Pending) owner() uint64 {
	if p.consumer == nil {
		return 0
	}
	return p.consumer.number
}

// Deliveries counts how often it was delivered.
func (p *Pending) Deliveries() uint64 { return p.count }

// Time is that of the delivery, -1 for a released entry.
func (p *Pending) Time() int64 {
	if p.consumer == nil {
		return -1
	}
	return p.at
}

// Idle is the time since the delivery, -1 for a released entry.
func (p *Pending) Idle(now int64) int64 {
	if p.consumer == nil {
		return -1
	}
	return max(now-p.at, 0)
}

// isIdle reports whether it may be claimed by those that wait for so long. A released entry always may.
func (p *Pending) isIdle(now, minIdle int64) bool { return p.consumer == nil || now-p.at >= minIdle }
