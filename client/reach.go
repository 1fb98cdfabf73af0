package client

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// reach is how far names have come that the server serves in one order: those that began without a position, and those of
// one command with the same position, because the server replays to them together.
//
// A message shows that all before it have arrived. What is proven for one name may not be for others: these may still be
// replayed, and nothing on the wire shows the end of that.
type reach struct {
	start string // the position that the names began with, while no number is known
	seq   uint64 // of the last message
	whole uint64 // all messages up to here have arrived, for all names
}

// startAt moves a reach to a sequence up to which nothing is outstanding.
func (r *reach) startAt(seq uint64) { r.start, r.seq, r.whole = "", max(r.seq, seq), max(r.whole, seq) }

// startAllAt moves all names to a sequence up to which nothing is outstanding.
func (rc *receiver) startAllAt(seq uint64) {
	rc.live.startAt(seq)
	for _, pattern := range []bool{false, true} {
		for _, state := range rc.states(pattern) {
			state.reach.startAt(seq)
		}
	}
}

// message notes a message. It may be yet to come by another name.
func (r *reach) message(seq uint64) {
	if r.start = ""; seq > r.seq {
		r.whole, r.seq = max(r.whole, seq-1), seq
	}
}

// past is how far a lost connection had come. It has no epoch without sequence numbers.
type past struct {
	epoch string
	after uint64 // no message up to here was missed by losing the connection
	names map[Name]pastName
}

// pastName is where a name goes on.
type pastName struct {
	start   string // the position
	proven  bool   // start is behind all that has arrived; otherwise it is what the name began with
	lastSeq uint64 // of the last message
	skip    uint64 // messages up to here have arrived, or are older than the subscription
	isGroup bool   // the server keeps the position, as that of a group
}

// snapshot returns how far the connection has come.
func (rc *receiver) snapshot() past {
	if !rc.conn.hasSeq {
		return past{}
	}
	p := past{epoch: rc.conn.epoch, names: map[Name]pastName{}}
	names, patterns := map[*reach]int{}, map[*reach]int{}
	for _, pattern := range []bool{false, true} {
		for _, state := range rc.states(pattern) {
			if names[state.reach]++; state.name.pattern {
				patterns[state.reach]++
			}
		}
	}
	p.after = math.MaxUint64
	if len(names) == 0 {
		p.after = rc.live.seq
	}
	for r := range names {
		if names[r] == 1 || patterns[r] == 0 { // each message comes by one name
			r.whole = r.seq
		}
		if r.start == "" {
			p.after = min(p.after, r.seq)
		} else {
			p.after = min(p.after, rc.subscribedAt)
		}
	}
	for _, pattern := range []bool{false, true} {
		for _, state := range rc.states(pattern) {
			n := pastName{start: state.reach.start, lastSeq: state.lastSeq, skip: max(state.skip, state.lastSeq)}
			if n.isGroup = state.group != ""; n.isGroup {
				n.start = state.group
			} else if n.start == "" {
				n.start, n.proven = "FROM "+rc.conn.epoch+"-"+strconv.FormatUint(state.reach.whole+1, 10), true
			}
			p.names[state.name] = n
		}
	}
	return p
}

// placed is a name that is subscribed from a position.
type placed struct {
	name  Name
	start string
	past  pastName
	known bool // the connection before had the name
}

// place returns the names that go on where the last connection broke off, those that begin with a position of the
// program's or of a group, and the others.
func (rc *receiver) place(names []Name, starts map[Name]string) (resumed, begun []placed, plain []Name) {
	for _, n := range names {
		old, known := rc.past.names[n]
		switch start := starts[n]; {
		case known && old.isGroup: // what the kernel had taken for the last connection does not come again
			begun = append(begun, placed{n, old.start, old, true})
			rc.resumed = false
		case known && rc.canResume():
			resumed = append(resumed, placed{n, old.start, old, true})
			rc.resumed = rc.resumed && old.proven
		case !known && start != "":
			begun = append(begun, placed{name: n, start: start})
		default:
			plain = append(plain, n)
			rc.resumed = rc.resumed && !known
		}
	}
	return resumed, begun, plain
}

// canResume reports whether positions of the last connection are of use. In another epoch the server reports that
// something is missing, and begins with the oldest that it keeps.
func (rc *receiver) canResume() bool {
	return rc.conn.hasSeq && rc.conn.keeps && isEpoch(rc.conn.epoch) && isEpoch(rc.past.epoch)
}

// isEpoch reports whether a text has the form of an epoch of conch. Others have no positions.
func isEpoch(text string) bool {
	const length = 16
	return len(text) == length && text[0] >= 'a' &&
		!slices.ContainsFunc([]byte(text), func(c byte) bool { return (c < '0' || c > '9') && (c < 'a' || c > 'f') })
}

// maxPlaced and maxPlacedBytes are how many names with a position a command has at most, and about how long it is. The server replays to
// as many together, and takes 64 MiB.
const maxPlaced, maxPlacedBytes = 10_000, 8 << 20

// commandOf returns the first names, as many as one command has.
func commandOf(names []placed) []placed {
	size := 0
	for i, n := range names {
		if size += len(n.name.text) + len(n.start); i == maxPlaced || i > 0 && size > maxPlacedBytes {
			return names[:i]
		}
	}
	return names
}

// addPlaced adds the names of one command, and returns them as they are on the wire. For a position that the server does
// not know, it reports a loss. There is none if the server is a node that is behind the one before; if it has another epoch,
// Reconnected has the loss.
func (rc *receiver) addPlaced(names []placed) (sentNames []Name) {
	shared := map[string]*reach{}
	for _, n := range names {
		r := shared[n.start]
		if r == nil {
			r = rc.newReach(&n)
			shared[n.start] = r
		}
		state := rc.addState(n.name, n.name.at(n.start), r)
		state.group = groupOf(n.start)
		if n.known && rc.conn.continues(rc.past.epoch) {
			state.lastSeq, state.skip = n.past.lastSeq, n.past.skip
			seq, ok := numberOf(n.start, rc.conn.epoch)
			state.missedKnown = ok && n.past.proven && seq > rc.conn.lastSeq+1
		} else {
			state.missedKnown = n.past.proven
		}
		sentNames = append(sentNames, state.sentAs)
	}
	return sentNames
}

// newReach returns the reach of a name with a position.
func (rc *receiver) newReach(n *placed) *reach {
	if !rc.conn.keeps {
		return rc.live
	}
	r := &reach{start: n.start}
	seq, ok := numberOf(n.start, rc.conn.epoch)
	if !ok && rc.conn.continues(rc.past.epoch) {
		seq, ok = numberOf(n.start, rc.past.epoch)
	}
	if ok && seq > 0 {
		r.startAt(seq - 1)
	} else if n.known && n.past.proven { // of another epoch: all of this one is to come
		r.startAt(0)
	}
	return r
}

// groupOf returns a position if it is that of a group.
func groupOf(start string) string {
	if strings.HasPrefix(start, "FROM GROUP ") {
		return start
	}
	return ""
}

// numberOf returns the sequence number of a position in an epoch.
func numberOf(start, epoch string) (seq uint64, ok bool) {
	prefix := "FROM " + epoch + "-"
	if epoch == "" || len(start) <= len(prefix) || start[:len(prefix)] != prefix {
		return 0, false
	}
	seq, err := strconv.ParseUint(start[len(prefix):], 10, 64)
	return seq, err == nil
}
