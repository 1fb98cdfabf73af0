package store

import (
	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/log"
)

// scan reads all records of changes, in their order.
type scan struct{ *log.Scan }

// Scan begins to read all records of changes, as they are now. It belongs to one goroutine, any but the core's.
func (s *Store) Scan() command.Scan { return scan{s.log.NewScan()} }

// Seek goes to a record before all for which isBefore is false, and not far before them.
func (s scan) Seek(isBefore func(changes []byte) bool) error {
	return s.Scan.Seek(func(r log.Record) (before, known bool) {
		if r.Kind != kindChanges {
			return false, false
		}
		return isBefore(r.Payload), true
	})
}

// Next passes the next records to f, and one that is not whole to damaged, in its place.
func (s scan) Next(f func(changes []byte), damaged func(error)) (more bool, err error) {
	return s.Scan.Next(func(r log.Record) {
		if r.Kind == kindChanges {
			f(r.Payload)
		}
	}, func(d *log.Damage) { damaged(d) })
}
