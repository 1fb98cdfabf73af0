package stream

import (
	"bytes"
	"cmp"
	"strings"
)

// SourcePosition is how far a source has read in one partition of another system. Its change stands in the record of the entries that came
// from there, so that no crash separates them. It does not change: another one takes its place.
type SourcePosition struct{ source, partition, position string }

// Source is the name of the connector.
func (p *SourcePosition) Source() string { return p.source }

// Partition is what the other system calls it.
func (p *SourcePosition) Partition() string { return p.partition }

// Position is what the other system calls it.
func (p *SourcePosition) Position() string { return p.position }

const (
	// MaxSourcePositions bounds the positions of all sources: each checkpoint has them all.
	MaxSourcePositions = 10_000
	// maxTexts are those of PlanSetText, for which there is room besides.
	maxTexts = 1000
	// neededTexts of them are there for texts that are always kept: see HasRoomForText.
	neededTexts = 100
	// MaxSourceName bounds the name of a source, in bytes.
	MaxSourceName = 255
	// MaxSourceText bounds a partition, and a position.
	MaxSourceText = 1024
	// sourcePositionBytes is about what one takes besides its texts.
	sourcePositionBytes = 140
)

// The reasons to refuse a position.
const (
	ErrManyPartitions Error = "the sources have 10000 partitions already; remove a source: SOURCE DEL name"
	ErrManyTexts      Error = "the nodes keep too much about connectors and nodes that are gone: SOURCE DEL and SINK DEL names that no file has, and NODE REMOVE nodes"
	ErrLongPosition   Error = "the name of a source has at most 255 bytes, a partition and a position have 1024"
)

func newSourcePositions() order[*SourcePosition] {
	return newOrder(func(a, b *SourcePosition) int {
		return cmp.Or(strings.Compare(a.source, b.source), strings.Compare(a.partition, b.partition))
	})
}

// SourcePosition returns the position of a source in a partition, or nil.
func (s *Streams) SourcePosition(source, partition string) *SourcePosition {
	at, found := s.sources.find(&SourcePosition{source: source, partition: partition})
	if !found {
		return nil
	}
	p, _ := s.sources.at(at)
	return p
}

// SourcePositions returns how many there are.
func (s *Streams) SourcePositions() int { return s.sources.count }

// EachSourcePosition calls f for the positions of a source, in the order of their partitions, until it returns false. f must not
// change them.
func (s *Streams) EachSourcePosition(source string, f func(*SourcePosition) bool) {
	at, _ := s.sources.find(&SourcePosition{source: source})
	s.sources.from(at, func(p *SourcePosition) bool { return p.source == source && f(p) })
}

// PlanSetSourcePosition plans that a source has read up to a position. It returns false if nothing changes.
func (s *Streams) PlanSetSourcePosition(c *Change, source, partition, position string) (bool, error) {
	old := s.SourcePosition(source, partition)
	switch {
	case len(source) > MaxSourceName || len(partition) > MaxSourceText || len(position) > MaxSourceText:
		return false, ErrLongPosition
	case old != nil && old.position == position:
		return false, nil
	case old == nil && s.sources.count >= MaxSourcePositions:
		return false, ErrManyPartitions
	}
	c.Kind, c.Text, c.Name, c.Mark = SetSourcePosition, []byte(source), []byte(partition), []byte(position)
	return true, nil
}

// PlanSetText plans that the text that is kept under two names is another. It may be long, unlike a position; the first name
// begins with a zero, which that of no source does. It returns false if nothing changes.
func (s *Streams) PlanSetText(c *Change, source, partition string, text []byte) (bool, error) {
	old := s.SourcePosition(source, partition)
	switch {
	case old != nil && old.position == string(text):
		return false, nil
	case old == nil && s.sources.count >= MaxSourcePositions+maxTexts:
		return false, ErrManyTexts
	}
	c.Kind, c.Text, c.Name, c.Mark = SetSourcePosition, []byte(source), []byte(partition), text
	return true, nil
}

// HasRoomForText reports whether a text fits that may be refused: the others have room behind it.
func (s *Streams) HasRoomForText(source, partition string) bool {
	return s.sources.count < MaxSourcePositions+maxTexts-neededTexts || s.SourcePosition(source, partition) != nil
}

// Text returns a text that PlanSetText has set, empty if there is none.
func (s *Streams) Text(source, partition string) string {
	if p := s.SourcePosition(source, partition); p != nil {
		return p.position
	}
	return ""
}

// PlanRemoveSourcePosition plans that a position is gone. It returns false if there is none.
func (s *Streams) PlanRemoveSourcePosition(c *Change, source, partition string) bool {
	c.Kind, c.Text, c.Name = RemoveSourcePosition, []byte(source), []byte(partition)
	return s.SourcePosition(source, partition) != nil
}

func (s *Streams) applySourcePosition(c *Change) {
	p := &SourcePosition{string(c.Text), string(c.Name), string(c.Mark)}
	if old := s.SourcePosition(p.source, p.partition); old != nil {
		s.cursorBytes -= old.memSize()
	}
	if c.Kind == RemoveSourcePosition {
		s.sources.remove(p)
		return
	}
	s.sources.insert(p)
	s.cursorBytes += p.memSize()
}

func (p *SourcePosition) memSize() int64 {
	return sourcePositionBytes + int64(len(p.source)+len(p.partition)+len(p.position))
}

// misfitSourcePosition returns why a change of a position cannot have been planned, or nothing.
func (s *Streams) misfitSourcePosition(c *Change) string {
	old := s.SourcePosition(string(c.Text), string(c.Name))
	switch {
	case c.Kind == RemoveSourcePosition && old == nil:
		return "there is no such position of a source"
	case c.Kind == SetSourcePosition && old == nil && s.sources.count >= MaxSourcePositions+maxTexts:
		return "there are too many positions of sources"
	}
	return ""
}

// isSourcePosition reports whether the kind is one of the two.
func (k Kind) isSourcePosition() bool { return k == SetSourcePosition || k == RemoveSourcePosition }

// appendSourcePosition appends what a change of a position has.
func (c *Change) appendSourcePosition(b []byte) []byte {
	return appendText(appendText(appendText(append(b, byte(c.Kind)), c.Text), c.Name), c.Mark)
}

// sourcePosition reads what a change of a position has, behind its kind.
func (in *input) sourcePosition(c *Change) {
	c.Text, c.Name, c.Mark = in.text(), in.text(), in.text()
	long := len(c.Mark) > MaxSourceText && !bytes.HasPrefix(c.Text, []byte{0}) // else it is a text: see PlanSetText
	if len(c.Text) > MaxSourceName || len(c.Name) > MaxSourceText || long {
		in.fail()
	}
}

// writeSourcePositions writes all of them: a delta has them all too.
func (h *checkpointHead) writeSourcePositions(out *sections) {
	for i := range h.sources {
		for _, p := range h.sources[i].items {
			out.item(itemSource, sectionSize)
			out.b = appendText(appendText(appendText(out.b, p.source), p.partition), p.position)
		}
	}
}

// readSourcePosition reads one, behind the head, which has removed all.
func (l *loader) readSourcePosition(in *input) error {
	c := Change{Kind: SetSourcePosition}
	in.sourcePosition(&c)
	if in.bad || l.streams.SourcePosition(string(c.Text), string(c.Name)) != nil || l.streams.misfitSourcePosition(&c) != "" {
		return l.corrupt("a position of a source that cannot be")
	}
	l.streams.applySourcePosition(&c)
	return nil
}

func (d *digester) sourcePositions(s *Streams) {
	d.numbers(uint64(s.sources.count))
	s.sources.each(func(p *SourcePosition) bool {
		d.text(p.source)
		d.text(p.partition)
		d.text(p.position)
		return true
	})
}
