package client

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"
)

// EntryID is the id of an entry: milliseconds and, among those of one millisecond, a number. The ids of a stream ascend.
// The zero EntryID is before all entries.
type EntryID struct{ Ms, Seq uint64 }

// ParseEntryID parses an id such as 1526919030474-55. The number may be missing, and is then 0.
func ParseEntryID(s string) (EntryID, error) {
	before, after, hasSeq := strings.Cut(s, "-")
	ms, err := parseIDPart(before)
	var seq uint64
	if hasSeq && err == nil {
		seq, err = parseIDPart(after)
	}
	if err != nil {
		return EntryID{}, invalidOption("%.60q is not the id of an entry, as 1526919030474-55 is", s)
	}
	return EntryID{Ms: ms, Seq: seq}, nil
}

// parseIDPart parses digits alone: ParseUint takes nothing else with base 10.
func parseIDPart(digits string) (uint64, error) { return strconv.ParseUint(digits, 10, 64) } //nolint:wrapcheck // the caller names the id

// String returns the id as servers write it.
func (id EntryID) String() string {
	return strconv.FormatUint(id.Ms, 10) + "-" + strconv.FormatUint(id.Seq, 10)
}

// Compare returns -1 if id is before other, 0 if they are equal, and 1 if it is after other.
func (id EntryID) Compare(other EntryID) int {
	return cmp.Or(cmp.Compare(id.Ms, other.Ms), cmp.Compare(id.Seq, other.Seq))
}

// Time returns the time of an id that the server has made, by the clock of the server.
func (id EntryID) Time() time.Time { return time.UnixMilli(int64(min(id.Ms, math.MaxInt64))) }

// IsZero reports whether the id is before all entries.
func (id EntryID) IsZero() bool { return id == EntryID{} }

// Field is a name and its value. Both may hold any bytes.
type Field struct{ Name, Value string }

// Entry is an entry of a stream. The caller may keep and change it.
type Entry struct {
	Stream string
	ID     EntryID
	Fields []Field // in the order in which they were appended; a name may repeat
	// Position is the place in the one order, such as a1b2c3d4e5f60718-12, for entries of Entries; else it is empty.
	Position string
}

// Get returns the value of the first field with the name, or "".
func (e *Entry) Get(name string) string {
	for i := range e.Fields {
		if e.Fields[i].Name == name {
			return e.Fields[i].Value
		}
	}
	return ""
}

// parseEntry reads an entry from an array of an id and an array of names and values. Its texts share one string.
func parseEntry(stream string, r *reply) (*Entry, error) {
	if r.kind != kindArray || len(r.elements) != 2 || r.elements[0].kind != kindBulk || r.elements[1].kind != kindArray {
		return nil, malformed("unexpected reply %q in place of an entry", r.kind)
	}
	e := &Entry{Stream: stream}
	id, err := ParseEntryID(string(r.elements[0].bytes))
	if err != nil {
		return nil, malformed("%.60q is not the id of an entry", r.elements[0].bytes)
	}
	texts := r.elements[1].elements
	if len(texts) == 0 || len(texts)%2 != 0 {
		return nil, malformed("an entry of %d names and values", len(texts))
	}
	size := 0
	for i := range texts {
		if texts[i].kind != kindBulk {
			return nil, malformed("unexpected reply %q in an entry", texts[i].kind)
		}
		size += len(texts[i].bytes)
	}
	var all strings.Builder
	all.Grow(size)
	for i := range texts {
		all.Write(texts[i].bytes)
	}
	rest := all.String()
	cut := func(n int) (text string) {
		text, rest = rest[:n], rest[n:]
		return text
	}
	e.ID, e.Fields = id, make([]Field, len(texts)/2)
	for i := range e.Fields {
		e.Fields[i] = Field{Name: cut(len(texts[2*i].bytes)), Value: cut(len(texts[2*i+1].bytes))}
	}
	return e, nil
}
