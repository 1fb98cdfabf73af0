package log

import "fmt"

// Damage is a place of a file that was synced, and is not whole.
type Damage struct {
	File        string
	Offset      int64
	First, Last uint64 // the records that are lost; Last is below First if there is none
}

func (d *Damage) Error() string {
	if d.Last < d.First {
		return fmt.Sprintf("log: %s is damaged at offset %d; %s", d.File, d.Offset, d.Lost())
	}
	return fmt.Sprintf("log: %s is damaged at offset %d: %s", d.File, d.Offset, d.Lost())
}

// Lost names the records that are lost.
func (d *Damage) Lost() string {
	switch {
	case d.Last < d.First:
		return "no record is lost"
	case d.Last == d.First:
		return fmt.Sprintf("record %d is lost", d.First)
	}
	return fmt.Sprintf("records %d to %d are lost", d.First, d.Last)
}

// Recovery is what Open found.
type Recovery struct {
	Last    uint64   // the number of the last record
	Head    uint64   // what CutHead has stored; 1 at first
	Clean   bool     // the log was closed, or is new
	Cut     int64    // bytes of a write that was never promised, which are removed
	CutFile string   // where they began
	CutAt   int64    // its offset
	Damages []Damage // what is behind them is whole, and was applied
	Epochs  []Epoch  // the last one has no end yet
}
