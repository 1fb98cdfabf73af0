package store

import (
	"cmp"
	"slices"

	"github.com/conchmq/conch/internal/log"
	"github.com/conchmq/conch/internal/stream"
)

// DirectoryStats is what a directory has.
type DirectoryStats struct {
	Segments        int           `json:"segments"`
	Bytes           int64         `json:"bytes"`   // of segments
	Visible         int64         `json:"visible"` // of these, those of entries that were not deleted, about
	Checkpoints     int           `json:"checkpoints"`
	CheckpointBytes int64         `json:"checkpoint_bytes"`
	FirstRecord     uint64        `json:"first_record"` // a start applies the records from there on
	LastRecord      uint64        `json:"last_record"`
	Sequence        uint64        `json:"last_sequence"`
	Time            int64         `json:"last_time"` // of the log's clock, in milliseconds
	Clean           bool          `json:"clean"`
	CutBytes        int64         `json:"cut_bytes"` // of a write that was not promised; the next start cuts them off
	Damages         []log.Damage  `json:"damages"`
	Streams         int           `json:"streams"`
	Entries         int           `json:"entries"`
	Memory          int64         `json:"memory"` // that streams take, without their entries
	Epochs          []string      `json:"epochs"`
	Largest         []StreamStats `json:"largest"`
}

// StreamStats is one stream.
type StreamStats struct {
	Name    string `json:"name"`
	Entries int    `json:"entries"`
	First   string `json:"first"` // ids
	Last    string `json:"last"`
}

// DirectoryStats returns what a directory has, with so many of the streams with the most entries. It reads the indexes of all segments. It is
// for a store that is only read.
func (s *Store) DirectoryStats(largest int) (DirectoryStats, error) {
	files, st, recovery := s.log.Stats(), s.streams, s.recovery
	d := DirectoryStats{
		Segments: files.Segments, Bytes: files.Bytes, Checkpoints: len(s.checkpoints.names), CheckpointBytes: s.checkpoints.base + s.checkpoints.deltas,
		FirstRecord: s.checkpoints.number + 1, LastRecord: recovery.Last, Sequence: s.sequence, Time: max(s.last.time, st.Time()),
		Clean: recovery.Clean, CutBytes: recovery.Cut, Damages: recovery.Damages, Streams: st.Len(), Entries: st.Entries(), Memory: st.Memory(),
	}
	for _, e := range recovery.Epochs {
		d.Epochs = append(d.Epochs, epochName(e.ID))
	}
	for one := range st.All() {
		d.addStream(one, largest)
	}
	var err error
	d.Visible, err = s.log.Visible()
	return d, err
}

// addStream keeps a stream if it is among the largest.
func (d *DirectoryStats) addStream(st *stream.Stream, most int) {
	at, _ := slices.BinarySearchFunc(d.Largest, st.Len(), func(s StreamStats, n int) int { return cmp.Compare(n, s.Entries) })
	if at >= most {
		return
	}
	first, _ := st.First()
	last, _ := st.Last()
	d.Largest = slices.Insert(d.Largest, at, StreamStats{st.Name(), st.Len(), first.String(), last.String()})
	d.Largest = d.Largest[:min(len(d.Largest), most)]
}
