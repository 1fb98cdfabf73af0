package stream

// Stream is one key. Its entries are in the log; it has their ids.
//
// Most of a million streams are small, so that each field counts: this takes 160 bytes.
type Stream struct {
	name   string
	number uint64
	last   ID // the last id that was given, or set
	ids    index
	*extras

	duration  uint32 // of the window of idempotent ids, in seconds
	maxSize   uint16 // of the window, for each producer
	gone      bool   // removed
	frozen    uint32 // the newest checkpoint that has its state, or needs it not
	changedIn uint32 // the newest checkpoint before which it changed
}

// extras is what few streams have.
type extras struct {
	maxDeleted ID
	addedMore  uint64    // what XSETID added to the number of entries that were added
	trimmed    uint64    // the ordinal below which entries were given up, 0 if none ever were
	fence      uint64    // the token below which appends are refused; 0 for none
	window     *window   // of idempotent ids; nil if there was none ever
	expiry     *deadline // nil without one
	groups     *groups   // nil if there was none ever
	retention  *deadline // when entries are due by a rule; nil if there was no such rule
}

// noExtras is that of all streams without extras. It is never changed: own comes first.
var noExtras extras

func newStream(name string, number uint64) *Stream {
	return &Stream{name: name, number: number, ids: newIndex(), extras: &noExtras}
}

// own gives the stream extras of its own, to change them.
func (st *Stream) own() {
	if st.extras == &noExtras {
		st.extras = new(extras)
	}
}

// Number returns the number of the stream, which no other one had or will have.
func (st *Stream) Number() uint64 { return st.number }

// Name returns the key.
func (st *Stream) Name() string { return st.name }

// Len returns how many entries the stream has.
func (st *Stream) Len() int { return int(st.ids.live) }

// LastID returns the largest id that an entry had, or that XSETID set.
func (st *Stream) LastID() ID { return st.last }

// setCounters sets what XSETID sets beside the last id.
func (st *Stream) setCounters(added uint64, maxDeleted ID) {
	if added == st.EntriesAdded() && maxDeleted == st.maxDeleted {
		return
	}
	st.own()
	st.addedMore, st.maxDeleted = added-(st.ids.next-1), maxDeleted
}

// MaxDeleted returns the largest id that XDEL deleted.
func (st *Stream) MaxDeleted() ID { return st.maxDeleted }

// trim gives up all entries below an ordinal. r gets their number, and how many of them groups have yet to read.
func (st *Stream) trim(to uint64, r *Result) {
	if st.Groups() > 0 {
		st.countMissed(to, r)
	}
	gone := int(st.ids.trim(to))
	if gone > 0 {
		st.own()
		st.trimmed = max(st.trimmed, min(to, st.ids.next))
	}
	r.Removed += gone
}

// Trimmed returns the ordinal below which entries were given up by a limit, 0 if none ever were. Those that were deleted before count, too.
func (st *Stream) Trimmed() uint64 { return st.trimmed }

// Fence returns the token that XFENCE set, 0 without one.
func (st *Stream) Fence() uint64 { return st.fence }

// EntriesAdded counts all entries that were ever added.
func (st *Stream) EntriesAdded() uint64 { return st.ids.next - 1 + st.addedMore }

// LastOrdinal returns the ordinal of the entry that was added last.
func (st *Stream) LastOrdinal() uint64 { return st.ids.next - 1 }

// First returns the id of the oldest entry.
func (st *Stream) First() (ID, bool) {
	if st.ids.live == 0 {
		return ID{}, false
	}
	v := st.ids.view()
	return v.idAt(v.first), true
}

// Last returns the id of the newest entry.
func (st *Stream) Last() (ID, bool) {
	if st.ids.live == 0 {
		return ID{}, false
	}
	v := st.ids.view()
	at, place := v.lastLive()
	return v.idAt(v.head(at).ordinal + uint64(place)), true
}

// Blocks returns how many blocks of ids there are.
func (st *Stream) Blocks() int {
	n := 1
	if st.ids.full != nil {
		for _, p := range st.ids.full.pages {
			n += len(p.heads)
		}
	}
	return n
}

// Exists reports whether the stream has an entry with that id.
func (st *Stream) Exists(id ID) bool {
	v := st.ids.view()
	_, ok := v.find(id)
	return ok
}

// Expiry returns the last millisecond at which the key exists, 0 if it does not end.
func (st *Stream) Expiry() int64 {
	if st.expiry == nil {
		return 0
	}
	return st.expiry.at - 1
}

// bytes is about what the stream takes, without its name.
func (st *Stream) bytes() int64 {
	n := int64(streamBytes + cap(st.ids.codes))
	if st.extras != &noExtras {
		n += extrasBytes
	}
	if st.ids.full != nil {
		n += st.ids.full.bytes
	}
	if st.window != nil {
		n += int64(len(st.window.producers))*producerBytes + int64(st.window.tracked)*trackedBytes
	}
	if st.groups != nil {
		n += st.groups.bytes
	}
	return n
}

// What the parts of the state take, with their places in maps and lists.
const (
	streamBytes   = 224
	extrasBytes   = 72
	producerBytes = 200
	trackedBytes  = 96
	headBytes     = 40
)
