package stream

// Stream is one key. Its entries are in the log; it has their ids.
//
// Most of a million streams are small, so that each field counts: this takes 192 bytes.
type Stream struct {
	name       string
	number     uint64
	last       ID // the last id that was given, or set
	maxDeleted ID
	added      uint64
	ids        index

	window *window   // of idempotent ids; nil if there was none ever
	expiry *deadline // nil without one

	duration  uint32 // of the window, in seconds
	maxSize   uint16 // of the window, for each producer
	gone      bool   // removed
	frozen    uint32 // the newest checkpoint that has its state, or needs it not
	changedIn uint32 // the newest checkpoint before which it changed
}

// Number returns the number of the stream, which no other one had or will have.
func (st *Stream) Number() uint64 { return st.number }

// Name returns the key.
func (st *Stream) Name() string { return st.name }

// Len returns how many entries the stream has.
func (st *Stream) Len() int { return int(st.ids.live) }

// LastID returns the largest id that an entry had, or that XSETID set.
func (st *Stream) LastID() ID { return st.last }

// MaxDeleted returns the largest id that XDEL deleted.
func (st *Stream) MaxDeleted() ID { return st.maxDeleted }

// EntriesAdded counts all entries that were ever added.
func (st *Stream) EntriesAdded() uint64 { return st.added }

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
	if st.ids.full != nil {
		n += st.ids.full.bytes
	}
	if st.window != nil {
		n += int64(len(st.window.producers))*producerBytes + int64(st.window.tracked)*trackedBytes
	}
	return n
}

// What the parts of the state take, with their places in maps and lists.
const (
	streamBytes   = 256
	producerBytes = 200
	trackedBytes  = 96
	headBytes     = 32
)
