package store

import (
	"fmt"

	"github.com/conchmq/conch/internal/log"
	"github.com/conchmq/conch/internal/stream"
)

// Verified is what Verify has read.
type Verified struct {
	Segments         int
	Bytes            int64 // of segments
	Records, Entries int64 // in files
	Visible          int64 // of these entries, those that were not deleted
	Streams          int
	Faults           int
}

// Verify reads the whole store: each record, index and checkpoint, the order of sequence numbers and ids, and whether each entry that the
// state has is in a file. It takes the memory of the state, and some for each stream. It is for a store that is only read.
func (s *Store) Verify(report func(Fault), progress func(done, total int64) error) (Verified, error) {
	v := verifying{store: s, report: report, places: make(map[place]bool), entries: make(map[uint64]int)}
	v.result.Segments, v.result.Streams = s.log.Stats().Segments, s.streams.Len()
	var err error
	v.result.Bytes, err = s.log.Check(log.Checking{Fault: v.fault, Record: v.record, Progress: progress})
	if err != nil {
		return v.result, err
	}
	for i := range s.recovery.Damages {
		if d := &s.recovery.Damages[i]; !v.places[place{d.File, d.Offset}] {
			v.fault(Fault{File: d.File, Offset: d.Offset, What: d.Lost()})
		}
	}
	v.compare()
	return v.result, nil
}

// verifying is one call of Verify.
type verifying struct {
	store  *Store
	report func(Fault)
	result Verified
	places map[place]bool // of faults

	file     string // of the last record
	sequence uint64 // the largest so far
	last     stream.Entry
	entries  map[uint64]int // visible ones that were found, by the number of their stream
}

type place struct {
	file   string
	offset int64
}

func (v *verifying) fault(f Fault) {
	v.result.Faults++
	v.places[place{f.File, f.Offset}] = true
	v.report(f)
}

// record checks one record of the files.
func (v *verifying) record(file string, at int64, rewritten bool, r log.Record) {
	v.result.Records++
	if v.file != file {
		v.file, v.last = file, stream.Entry{}
	}
	if r.Kind != kindChanges {
		return
	}
	wrong := ""
	err := stream.EachEntry(r.Payload, 0, func(e *stream.Entry) bool {
		if why := v.entry(e, rewritten); why != "" {
			wrong = fmt.Sprintf("entry %s of stream %d: %s", e.ID, e.Key, why)
		}
		return true
	})
	if err != nil {
		wrong = err.Error()
	}
	if wrong != "" {
		v.fault(Fault{File: file, Offset: at, What: wrong})
	}
}

// entry checks one entry, and returns what is wrong.
func (v *verifying) entry(e *stream.Entry, rewritten bool) (wrong string) {
	v.result.Entries++
	switch last := &v.last; {
	case !rewritten && e.Sequence <= v.sequence:
		wrong = fmt.Sprintf("its sequence number is %d, behind %d", e.Sequence, v.sequence)
	case rewritten && e.Key == last.Key && (e.Ordinal <= last.Ordinal || e.Sequence <= last.Sequence):
		wrong = fmt.Sprintf("its sequence number is %d, behind %d of the entry before it", e.Sequence, last.Sequence)
	}
	v.sequence = max(v.sequence, e.Sequence)
	v.last = stream.Entry{Key: e.Key, Ordinal: e.Ordinal, Sequence: e.Sequence}
	alive, same := v.store.streams.Has(e.Key, e.Ordinal, e.ID)
	if alive {
		v.result.Visible++
		v.entries[e.Key]++
		if !same {
			wrong = "the checkpoint has another id for it"
		}
	}
	return wrong
}

// compare compares the entries that were found with those of the state.
func (v *verifying) compare() {
	for st := range v.store.streams.All() {
		switch found := v.entries[st.Number()]; {
		case found < st.Len():
			v.fault(Fault{What: fmt.Sprintf("stream %q: %d of its %d entries are in no file", st.Name(), st.Len()-found, st.Len())})
		case found > st.Len():
			v.fault(Fault{What: fmt.Sprintf("stream %q: %d of its %d entries are in the files twice", st.Name(), found-st.Len(), st.Len())})
		}
	}
}
