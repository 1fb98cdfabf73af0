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
	Retention                 // the rules of what streams keep
	Retain                    // the oldest entries of some streams, by these rules
)

// Kinds from here on take two bytes in a record.
const (
	Fence                Kind = iota + further // the fencing token of a stream
	CreateGroup                                // a consumer group
	DestroyGroup                               // a group with its consumers and what is pending
	SetGroup                                   // the position of a group
	CreateConsumer                             // a consumer
	DeleteConsumer                             // a consumer with what is pending
	Deliver                                    // entries behind the position of a group to a consumer
	Acknowledge                                // pending entries of a group
	Claim                                      // pending entries for a consumer
	Release                                    // pending entries, for those that claim them
	SetCursor                                  // the position of a subscriber
	RemoveCursor                               // that it is kept
	Durable                                    // which topics are durable
	AddRun                                     // entries with the field message alone, and what they trim
	SetSourcePosition                          // how far a source has read
	RemoveSourcePosition                       // that it is kept
	HoldCursor                                 // the position of a subscriber, and which connection of which node moves it
)

// Change is a request with all decided: the time, ids, ordinals. Applying it to the same state gives the same state.
type Change struct {
	Kind     Kind
	Time     int64  // milliseconds of the log's clock
	Sequence uint64 // its place in the one order, if it adds an entry; else the newest one in use
	Number   uint64 // of the stream

	// Add, AddRun; Fence and CreateGroup may make a stream too. Duplicate has the stream, and the id of the first entry.
	Create     bool   // makes the stream, in the place of one whose time is up
	Name       []byte // of a stream that is made
	ID         ID     // Delete: the largest one; SetID: the last id
	Ordinal    uint64
	Fields     [][]byte // names and values in turn
	Stored     Fields   // the same in a change that was read
	Messages   [][]byte // AddRun: those of the entries; ID, Ordinal and Sequence are the first one's. It aliases the argument
	TrimTo     uint64   // entries with smaller ordinals go; 0 for none. Trim has it too
	Idempotent bool
	Producer   Digest
	Message    Digest

	Ordinals     []uint64 // Delete: ascending. Retain: as TrimTo, for each of Numbers
	Found        []bool   // Delete: which of the ids of PlanDelete it deletes. Not recorded
	EntriesAdded uint64   // SetID
	MaxDeleted   ID       // SetID
	Numbers      []uint64 // Remove; Retain: ascending
	Expired      bool     // Remove: their time was up
	At           int64    // SetExpiry: 0 for never
	Duration     uint32   // Configure, Defaults, and a stream that is made
	MaxSize      uint16
	Token        uint64     // Fence
	Position     uint64     // SetCursor, HoldCursor: a sequence number. Text is the group, Name the topic; RemoveCursor has them too
	Holder       []byte     // HoldCursor
	Mark         []byte     // SetSourcePosition: the position. Text is the source, Name the partition; RemoveSourcePosition has them too
	Refs         RefMode    // Delete, Trim: DelRef ends that the entries are pending
	Kept         []bool     // Delete: which of the ids stay because groups need them. Not recorded
	Given        settingSet // Defaults: the settings that are given by it
	Rules        []Rule     // Retention. The state keeps them
	Sweeps       bool       // Retain: streams with numbers below Number get their rule, all of them if it is 0

	// Changes of groups.
	Group    uint64   // its number
	Consumer uint64   // its number within the group
	Text     []byte   // the name of what is made; aliases the argument. Durable: the globs
	IDs      []ID     // of entries, in the order of the command
	Gone     []ID     // Claim: of pending entries that were deleted
	NoAck    bool     // Deliver: what is delivered is not pending
	Counting Counting // Claim, Release. Claim has At too, the time of the delivery, and ID, the position of the group or 0-0
	Count    uint64   // of CountSet

	size      uint64          // AddRun: what the entries count
	oneLength bool            // AddRun: all messages have one length
	parsed    [][]byte        // Messages of a change that was read
	given     map[ID]struct{} // the same as IDs, while they are planned in an odd order
	stream    *Stream         // what Plan found; nil in a change that was read
}

// maxKeptList is how many elements a list of a change that is used again may have room for.
const maxKeptList = 4096

// Reset clears a change, and keeps its memory unless a rare request has made that large.
func (c *Change) Reset() {
	if max(cap(c.Ordinals), cap(c.Found), cap(c.Numbers), cap(c.Kept), cap(c.IDs), cap(c.Gone), cap(c.parsed)) > maxKeptList {
		*c = Change{}
		return
	}
	clear(c.parsed) // they alias a payload
	*c = Change{
		parsed: c.parsed[:0], Ordinals: c.Ordinals[:0], Found: c.Found[:0], Numbers: c.Numbers[:0], Kept: c.Kept[:0], IDs: c.IDs[:0], Gone: c.Gone[:0],
	}
}

// Miss is a group that misses entries.
type Miss struct{ Stream, Group string }

// Result is what a change did.
type Result struct {
	Stream  *Stream // nil if it is removed
	Number  uint64
	Ordinal uint64
	ID      ID
	Created bool
	Removed int // entries that are gone
	Keys    int // streams that are gone
	// Missed counts entries that went before a group had read them, once for each group. FirstMiss has the groups that miss one for the
	// first time.
	Missed    uint64
	FirstMiss []Miss
}
