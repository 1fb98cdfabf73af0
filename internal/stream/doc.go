// Package stream has the state of all streams: their names, the ids of their entries, their settings. It has no file, no clock
// and no lock. The core owns a [Streams]; a [Range] of it may be read by other goroutines.
//
// A request is planned, which checks it and fills in a [Change], and applied, which changes the state. A record of the log has
// the changes of one batch. The same records, applied in the same order, give a state with the same [Streams.Digest].
//
// Entries themselves are in the log alone. The state has their ids, and leads to them by ordinals: the number of an entry
// within its stream.
package stream
