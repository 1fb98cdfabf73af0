// Package recent keeps the latest messages of all topics in memory, in their order, within a bound.
//
// The core appends to [Messages]. Other goroutines retain a [Chunk] and read it, while the core appends to the last one.
// A chunk is written once; it goes when it is the oldest and the bound demands it, or when its last reader releases it.
package recent
