// Package log keeps records in files: it appends, syncs, recovers, cuts and scans. It knows bytes, and no stream.
//
// One goroutine appends; in the broker that is the core. [Log.Append] copies a record into memory and returns. A writer
// writes what has come by then in one call, and a syncer makes it durable as the policy demands. [Options.Progress]
// reports how far they are.
//
// # Files
//
// A segment is a file: a header, records, and once the next segment has begun an index and a trailer. The file is allocated
// ahead, so that a full disk shows before a write; its rest is zeros.
//
// # What a crash leaves
//
// Opening stops at the first record that is not whole. What follows decides what it is. A whole record that proves that the
// broken one was synced makes it damage: it is reported, and what is whole behind it is applied. Without such a proof it is
// the end of a write that was never promised: it is cut, and the cut is durable before anything is written in its place.
//
// A proof is the bit behindSync in the first record of a group, which is written if all before it was synced; a record of
// kind kindMark, which has the number up to which all was synced; or the trailer of the segment.
package log
