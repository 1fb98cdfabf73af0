package acl

import (
	"slices"
	"time"
)

// Limits of the log, those of Redis.
const (
	maxLog         = 128                    // entries: what is older is forgotten
	logSearched    = 10                     // of the newest entries, for one that says the same
	logMergeWindow = 60 * time.Second       // as long after the last time an entry still says the same
	clientRefresh  = 100 * time.Millisecond // as long what it says of the client is not worked out again
)

// Entry is something that was refused: one entry of ACL LOG. The age there is the time since Updated.
type Entry struct {
	Reason   Reason
	Context  string // "toplevel" or "multi"
	Object   string // a command, a topic, or for ReasonAuth the command as it was typed
	Username string
	Client   string // CLIENT INFO of who tried it last, or up to a tenth of a second before

	Count   int    // how often
	ID      uint64 // rises from 0 with every new entry, and does not start again
	Created time.Time
	Updated time.Time

	clientUpdated time.Time // when Client was worked out
}

// Log is what was refused lately. One goroutine owns it. The zero value is an empty log.
type Log struct {
	entries []Entry // the newest first
	next    uint64
}

// Add notes what was refused: the first four fields of an entry. The fifth is what client returns, which is called for a new
// entry, and not more than ten times a second for one that is repeated: a peer can be refused much faster than that. Who tries the same again within a minute is counted up
// and comes to the front, so that one peer cannot push all others out by repeating itself.
func (l *Log) Add(e Entry, now time.Time, client func() string) {
	e.Count, e.ID, e.Created, e.Updated = 1, l.next, now, now
	looked := l.entries[:min(len(l.entries), logSearched)]
	i := slices.IndexFunc(looked, func(old Entry) bool { return old.sameAs(e) })
	if i < 0 {
		l.next++
		e.Client, e.clientUpdated = client(), now
		if len(l.entries) == maxLog {
			l.entries = l.entries[:maxLog-1]
		}
		l.entries = slices.Insert(l.entries, 0, e)
		return
	}
	old := l.entries[i]
	old.Count, old.Updated = old.Count+1, now
	if now.Sub(old.clientUpdated).Abs() >= clientRefresh {
		old.Client, old.clientUpdated = client(), now
	}
	l.entries = slices.Insert(slices.Delete(l.entries, i, i+1), 0, old)
}

func (e Entry) sameAs(later Entry) bool {
	return e.Reason == later.Reason && e.Context == later.Context && e.Object == later.Object &&
		e.Username == later.Username && later.Updated.Sub(e.Updated).Abs() <= logMergeWindow
}

// Entries returns the newest, at most so many.
func (l *Log) Entries(most int) []Entry {
	return slices.Clone(l.entries[:max(0, min(most, len(l.entries)))])
}

// Reset forgets all entries.
func (l *Log) Reset() { l.entries = nil }
