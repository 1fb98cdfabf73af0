package command

import "github.com/conchmq/conch/internal/stream"

// Store keeps the records of what changes streams. Its owner opens it before the service, and closes it after the core has
// ended. Methods are the core's unless they say otherwise; none blocks.
type Store interface {
	// Streams is the state as of the last record. From the start of the service on it is the core's.
	Streams() *stream.Streams
	// Now is the log's clock, in milliseconds.
	Now() int64
	// Append adds a record of changes, which it copies, and returns its number. It is 0 once the log has failed.
	Append(changes []byte) (record uint64)
	// Last is the number of the last record.
	Last() uint64
	// HasBarriers reports whether replies wait until records are as safe as the policy demands. It never changes.
	HasBarriers() bool
	// Room reports whether so many bytes more fit into the memory of streams.
	Room(bytes int) bool
	// SetDeadline sets when Service.Tick is to be called, by the log's clock; 0 for never.
	SetDeadline(at int64)
	// Err is why nothing can be added: the failure of the log, or a disk that is full for now.
	Err() error
	// Failed is the failure of the log, which is final. Any goroutine may call it.
	Failed() error
	// Unsynced is the bytes of records that are not safe yet. Any goroutine may call it.
	Unsynced() int64
	// Died reports that so many entries have died at once: their space can be given back.
	Died(entries int)
	// Pin keeps the records of some entries of a stream, from the first ordinal to the last, readable.
	Pin(key, first, last uint64) Pin
	// Scan begins to read all records, as they are now. Any goroutine but the core's may call it.
	Scan() Scan
	// Position returns the sequence number in this epoch of a position in an earlier one: entries keep theirs. Any goroutine may
	// call it.
	Position(epoch string, number uint64) (same uint64, ok bool)
}

// Scan reads all records in their order, piece by piece. A record may come in several parts, one behind the other. It belongs to
// one goroutine.
type Scan = interface {
	// Seek goes to a record before all for which isBefore is false, and not far before them. Once it is false, it stays so.
	Seek(isBefore func(changes []byte) bool) error
	// Back goes to about so many bytes before the end, and returns false if that is the beginning.
	Back(bytes int64) (more bool, err error)
	// Next passes the records of the next piece to f, which are valid until the next call, and the damage of one that is not
	// whole to damaged, in its place. It returns false at the end.
	Next(f func(changes []byte), damaged func(error)) (more bool, err error)
	Release()
}

// Pin gives the records of some entries. Any goroutine may use it, one at a time.
type Pin = interface {
	// Read calls f for each record with such an entry, in the order of the entries, until f returns false. A record is valid
	// during the call.
	Read(f func(changes []byte) bool) error
	// ReadFrom is Read from a later ordinal on.
	ReadFrom(first uint64, f func(changes []byte) bool) error
	// ReadBack is Read in the opposite order of records.
	ReadBack(f func(changes []byte) bool) error
	// Recent reports whether all of them are in memory.
	Recent() bool
	Release()
}
