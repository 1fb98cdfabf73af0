package acl

import (
	"slices"
	"time"
)

// Limits of the log, as in Redis.
const (
	maxLog         = 128                    // entries; an older one is dropped
	logSearched    = 10                     // newest entries searched for an equal one
	logMergeWindow = 60 * time.Second       // an equal denial within it counts on the same entry
	clientRefresh  = 100 * time.Millisecond // Client of a repeated entry is renewed after it
)

// Entry is one entry of ACL LOG: a denial. The age in the reply is the time since Updated.
type Entry struct {
	Reason   Reason
	Context  string // "toplevel" or "multi"
	Object   string // a command, a topic, or for ReasonAuth the command as typed
	Username string
	Client   string // CLIENT INFO of the last client, at most clientRefresh old

	Count   int
	ID      uint64 // counts new entries from 0; Reset does not restart it
	Created time.Time
	Updated time.Time

	clientUpdated time.Time // when Client was computed
}

// Log holds the last denials. One goroutine owns it. The zero value is an empty log.
type Log struct {
	entries []Entry // the newest first
	next    uint64
}

// Add records a denial: the first four fields of e, and client() as the fifth. It calls client for a new entry, and at
// most ten times a second for a repeated one, because denials can be much more frequent and formatting is costly. A
// denial repeated within a minute increments its entry and moves it to the front, so that one client cannot displace all
// other entries.
func (l *Log) Add(e Entry, now time.Time, client func() string) {
	e.Count, e.ID, e.Created, e.Updated = 1, l.next, now, now
	searched := l.entries[:min(len(l.entries), logSearched)]
	i := slices.IndexFunc(searched, func(old Entry) bool { return old.sameAs(e) })
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

// Entries returns the newest entries, at most limit.
func (l *Log) Entries(limit int) []Entry {
	return slices.Clone(l.entries[:max(0, min(limit, len(l.entries)))])
}

// Reset drops all entries.
func (l *Log) Reset() { l.entries = nil }
