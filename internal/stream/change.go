package stream

// Kind is what a change does.
type Kind uint8

// The kinds. Their numbers are in the log.
const (
	Add       Kind = iota + 1 // an entry, and what it trims
	Duplicate                 // counts an entry that was there under its idempotent id
	Delete                    // entries by their ordinals
	Trim                      // the oldest entries
	SetID                     // the last id, and counters
	Configure                 // the window of idempotent ids
	Remove                    // streams
	Flush                     // all streams
	SetExpiry                 // when a key ends
	Prune                     // idempotent ids whose time is up
	Defaults                  // the window of streams that are made from now on
)

// Change is a request with all decided: the time, ids, ordinals. Applying it to the same state gives the same state.
type Change struct {
	Kind     Kind
	Time     int64  // milliseconds of the log's clock
	Sequence uint64 // its place in the one order, if it adds an entry; else the newest one in use
	Number   uint64 // of the stream

	// Add; Duplicate has the stream, and the id of the first entry.
	Create     bool   // makes the stream, in the place of one whose time is up
	Name       []byte // of a stream that is made
	ID         ID     // Delete: the largest one; SetID: the last id
	Ordinal    uint64
	Fields     [][]byte // names and values in turn
	Stored     Fields   // the same in a change that was read
	TrimTo     uint64   // entries with smaller ordinals go; 0 for none. Trim has it too
	Idempotent bool
	Producer   Digest
	Message    Digest

	Ordinals     []uint64 // Delete: ascending
	Found        []bool   // Delete: which of the ids of PlanDelete it deletes. Not recorded
	EntriesAdded uint64   // SetID
	MaxDeleted   ID       // SetID
	Numbers      []uint64 // Remove
	Expired      bool     // Remove: their time was up
	At           int64    // SetExpiry: 0 for never
	Duration     uint32   // Configure, Defaults, and a stream that is made
	MaxSize      uint16

	stream *Stream // what Plan found; nil in a change that was read
}

// maxKeptList is how many elements a list of a change that is used again may have room for.
const maxKeptList = 4096

// Reset clears a change, and keeps its memory unless a rare request has made that large.
func (c *Change) Reset() {
	if max(cap(c.Ordinals), cap(c.Found), cap(c.Numbers)) > maxKeptList {
		*c = Change{}
		return
	}
	*c = Change{Ordinals: c.Ordinals[:0], Found: c.Found[:0], Numbers: c.Numbers[:0]}
}

// Result is what a change did.
type Result struct {
	Stream  *Stream // nil if it is removed
	Number  uint64
	Ordinal uint64
	ID      ID
	Created bool
	Removed int // entries that are gone
	Keys    int // streams that are gone
}
