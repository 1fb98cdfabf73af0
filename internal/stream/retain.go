package stream

import (
	"cmp"
	"math"
	"slices"
)

// Rule says what streams keep whose names match a glob. A limit of 0 is none. Of several rules the first one that matches holds.
type Rule struct {
	Match string
	Age   int64 // milliseconds by the ids, as XTRIM MINID has it
	Count uint64
	Bytes uint64
	// Unread is up to how many bytes of a stream what a group has yet to read stays. 0: it goes as all else, and the group counts it.
	Unread uint64
}

const (
	// maxGivenUp is how many ordinals of a stream a Retain gives up. What is beyond is due at once.
	maxGivenUp = 1 << 22
	// maxGivenUpByAdd is the same for the entry that an XADD adds: usually it gives up one.
	maxGivenUpByAdd = 1000
	// retainAtOnce is how many streams one Retain looks at; maxMatches is how many globs it matches, about.
	retainAtOnce = 64
	maxMatches   = 4096
	// maxRuledName is the longest name that globs are matched with. Of longer ones * alone is the rule.
	maxRuledName = 64 << 10
	// ageSlack is the part of an age, and minSlack the milliseconds, for which an entry may stay longer. So a stream is looked at a
	// hundred times in its age at most, and once a second.
	ageSlack = 100
	minSlack = 1000
)

// sweep is the streams that do not have their rule yet, by number: rules have changed.
type sweep struct{ from, end uint64 }

func (w sweep) isOn() bool                { return w.end > 0 }
func (w sweep) covers(number uint64) bool { return number >= w.from && number < w.end }

// planRules plans new rules from a text that checkRules has returned. Streams that exist get theirs piece by piece, by PlanDue.
func (c *Change) planRules(plain string) {
	rules, _ := ParseRules(plain)
	c.Kind, c.Rules = Retention, rules
}

func (s *Streams) applyRules(c *Change) {
	s.given |= givenRules
	s.rules, s.sweep = c.Rules, sweep{}
	if s.order.count > 0 {
		s.sweep = sweep{1, s.next}
	}
}

// ruleOf returns the rule of a stream, nil if it has none. While streams wait for theirs, what they keep stays.
func (s *Streams) ruleOf(st *Stream) *Rule {
	if st.ids.rule == 0 || s.sweep.covers(st.number) {
		return nil
	}
	return &s.rules[st.ids.rule-1]
}

// assign gives a stream its rule. That follows from its name: it is no state of its own.
func (s *Streams) assign(st *Stream) {
	st.ids.rule = 0
	for i := range s.rules {
		if match := s.rules[i].Match; match == "*" || len(st.name) <= maxRuledName && s.matcher.Match(match, []byte(st.name)) {
			st.ids.rule = uint16(i + 1)
			return
		}
	}
}

// beyond returns the ordinal below which a rule by count or bytes gives up entries, most ordinals at most; 0 for none. A change adds
// coming entries of so many bytes before.
func (st *Stream) beyond(r *Rule, coming, bytes, most uint64) (to uint64) {
	x := &st.ids
	if have := x.live + coming; r.Count > 0 && have > r.Count {
		if gone := min(have-r.Count, most); gone <= x.live {
			v := x.view()
			to = v.at(gone)
		} else {
			to = x.next + gone - x.live // some of those that come
		}
	}
	if r.Bytes > 0 {
		to = max(to, x.beyond(r.Bytes, bytes))
	}
	return min(to, x.first+most)
}

// givenUp returns the ordinal below which a rule gives up entries at an instant; 0 for none. It is the place where it is decided what a
// stream keeps, but for what an XADD gives up at once.
func (st *Stream) givenUp(r *Rule, now int64) (to uint64) {
	if r == nil || st.ids.live == 0 {
		return 0
	}
	to = st.beyond(r, 0, 0, maxGivenUp)
	if r.Age > 0 && now > r.Age {
		v := st.ids.view()
		to = max(to, min(v.seek(ID{Ms: uint64(now - r.Age)}), st.ids.first+maxGivenUp))
	}
	if to = st.held(r, to, 0); to <= st.ids.first {
		return 0
	}
	return to
}

// planSweep plans the rules of the next streams that wait for theirs, and what these give up.
func (s *Streams) planSweep(c *Change) {
	c.Kind, c.Sweeps, c.Number = Retain, true, 0
	left := max(1, min(retainAtOnce, maxMatches/max(len(s.rules), 1)))
	s.order.from(s.sweep.from, func(st *Stream) bool {
		if st.number >= s.sweep.end {
			return false
		}
		if left--; left < 0 {
			c.Number = st.number
			return false
		}
		s.assign(st)
		if st.ids.rule > 0 {
			c.giveUp(st, &s.rules[st.ids.rule-1])
		}
		return true
	})
}

// planRetain plans what the rules of streams give up whose deadline has come. Where that is nothing, because something else has
// removed the entries, the deadline moves on without a change. It returns false if it is nothing for all it has looked at.
func (s *Streams) planRetain(c *Change) bool {
	looked := make([]*Stream, 0, retainAtOnce)
	s.due.each(c.Time, retainAtOnce, entriesEnd, func(d *deadline) { looked = append(looked, d.stream) })
	slices.SortFunc(looked, func(a, b *Stream) int { return cmp.Compare(a.number, b.number) })
	c.Kind = Retain
	for _, st := range looked {
		if !c.giveUp(st, s.ruleOf(st)) {
			s.due.remove(st.retention)
			if s.awaitAge(st); st.retention.at <= c.Time {
				s.due.remove(st.retention) // groups hold it back: see awaitReaders
			}
		}
	}
	return len(c.Numbers) > 0
}

// giveUp adds to a Retain what a rule gives up of a stream. Streams come in the order of their numbers.
func (c *Change) giveUp(st *Stream, r *Rule) bool {
	to := st.givenUp(r, c.Time)
	if to == 0 {
		return false
	}
	c.Numbers, c.Ordinals = append(c.Numbers, st.number), append(c.Ordinals, to)
	return true
}

func (s *Streams) applyRetain(c *Change) (r Result) {
	if c.Sweeps {
		s.applySweep(c.Number)
	}
	for i, number := range c.Numbers {
		st := s.ByNumber(number)
		s.saving.before(st)
		before := st.bytes()
		gone := r.Removed
		st.trim(c.Ordinals[i], &r)
		gone = r.Removed - gone
		s.due.remove(st.retention)
		if s.awaitAge(st); st.givenUp(s.ruleOf(st), c.Time) > 0 {
			s.awaitUntil(st, c.Time)
		}
		s.bytes += st.bytes() - before
		s.entries -= gone
		s.touch(st)
	}
	return r
}

// applySweep gives the streams below a number their rules; all if it is 0.
func (s *Streams) applySweep(end uint64) {
	from := s.sweep.from
	if end == 0 {
		end, s.sweep = s.sweep.end, sweep{}
	} else {
		s.sweep.from = end
	}
	s.order.from(from, func(st *Stream) bool {
		if st.number >= end {
			return false
		}
		before := st.bytes()
		s.assign(st)
		s.due.remove(st.retention)
		s.awaitAge(st)
		s.bytes += st.bytes() - before
		return true
	})
}

// awaitAge sets when the oldest entry is due by the age of a rule. A deadline that is set stays, unless the stream was empty: XSETID may
// have let smaller ids follow.
func (s *Streams) awaitAge(st *Stream) {
	r := s.ruleOf(st)
	if r == nil || r.Age == 0 || st.retention != nil && st.retention.index >= 0 && st.ids.live > 1 {
		return
	}
	first, ok := st.First()
	late := uint64(r.Age) + max(uint64(r.Age)/ageSlack, minSlack)
	if ok && first.Ms < math.MaxInt64-late {
		s.awaitUntil(st, int64(first.Ms+late))
	}
}

// awaitRule sets when a rule is due behind a change that has added entries.
func (s *Streams) awaitRule(st *Stream, c *Change) {
	if st.ids.live <= uint64(c.Entries()) {
		s.due.remove(st.retention) // that of entries that are gone
	}
	s.awaitAge(st)
	if r := s.ruleOf(st); c.Kind == AddRun && r != nil && r.Bytes > 0 && st.givenUp(r, c.Time) > 0 {
		s.awaitUntil(st, c.Time) // the run has filled a block
	}
}

// awaitUntil sets the deadline of the entries of a stream.
func (s *Streams) awaitUntil(st *Stream, at int64) {
	if st.retention == nil {
		st.own()
		st.retention = &deadline{index: -1, stream: st, ends: entriesEnd}
	}
	st.retention.at = at
	s.due.set(st.retention)
}

// resumeRetention gives streams that were read from checkpoints their rules and deadlines.
func (s *Streams) resumeRetention() {
	if len(s.rules) == 0 {
		return
	}
	for st := range s.All() {
		s.assign(st)
		s.awaitAge(st)
		if r := s.ruleOf(st); r != nil && st.beyond(r, 0, 0, maxGivenUp) > 0 {
			s.awaitUntil(st, 1)
		}
	}
}
