package stream

// ApplyDamaged applies the changes of a record behind others that were lost, as far as they make sense, and returns how many it
// skipped: those of a stream that a lost record made, and entries with ids that a lost XSETID made possible. Entries that were lost
// leave their ordinals unused. It begins behind the first applied changes, which ApplyRecord has applied before it found a misfit.
// It is for a log with damage that was reported; a replica never calls it.
func (s *Streams) ApplyDamaged(payload []byte, applied int) (skipped int) {
	err := Changes(payload, func(c *Change) bool {
		if applied--; applied >= 0 {
			return true
		}
		s.closeGap(c)
		if s.misfit(c) != "" {
			skipped++
		} else {
			s.Apply(c)
		}
		return true
	})
	if err != nil {
		skipped++
	}
	return skipped
}

// closeGap makes what lost records did, as far as a change shows it.
func (s *Streams) closeGap(c *Change) {
	switch {
	case c.Kind == Remove:
		c.Numbers = s.present(c.Numbers)
	case c.Kind == Retain:
		s.keepPresent(c)
	case c.Create:
		s.closeGapOfStreams(c)
	case c.Adds():
		if st := s.ByNumber(c.Number); st != nil && c.Ordinal > st.ids.next && st.last.Less(c.ID) {
			s.saving.before(st)
			st.ids.skipTo(c.Ordinal)
		}
	}
}

// closeGapOfStreams is closeGap for a change that makes a stream.
func (s *Streams) closeGapOfStreams(c *Change) {
	if c.Number > s.next {
		s.next = c.Number // streams between were made, and are unknown
	}
	if old := s.names[string(c.Name)]; old != nil && c.Number == s.next {
		s.remove(old) // it must have been removed
	}
}

// keepPresent leaves out what a change gives up of streams that are unknown.
func (s *Streams) keepPresent(c *Change) {
	n := 0
	for i, number := range c.Numbers {
		if s.ByNumber(number) != nil {
			c.Numbers[n], c.Ordinals[n] = number, c.Ordinals[i]
			n++
		}
	}
	c.Numbers, c.Ordinals = c.Numbers[:n], c.Ordinals[:n]
}

// present returns those numbers that streams have.
func (s *Streams) present(numbers []uint64) []uint64 {
	kept := numbers[:0]
	for _, number := range numbers {
		if s.ByNumber(number) != nil {
			kept = append(kept, number)
		}
	}
	return kept
}

// skipTo makes an ordinal the next one. Those before it that were not given are never used.
func (x *index) skipTo(next uint64) {
	x.seal()
	if x.next = next; x.live == 0 {
		x.first = next
	}
}
