package faulty

import (
	"math/rand/v2"
	"time"
)

// Fault is a kind of network fault.
type Fault int

// The faults. None changes bytes or their order, because TCP prevents that.
const (
	Hold     Fault = iota // the server sees the connection later, perhaps after later ones
	Delay                 // each piece is delayed
	Split                 // writes are split at any byte
	Stall                 // nothing is forwarded for a while
	Throttle              // the rate is limited
	Close                 // the connection is cut with a FIN to both sides
	Reset                 // the connection is cut with a RST to both sides
	faults
)

var faultNames = [faults]string{"hold", "delay", "split", "stall", "throttle", "close", "reset"}

func (f Fault) String() string { return faultNames[f] }

// Faults returns all kinds.
func Faults() []Fault { return []Fault{Hold, Delay, Split, Stall, Throttle, Close, Reset} }

// Plan is the faults of one connection. The zero Plan has none.
type Plan struct {
	Hold     time.Duration // before dialing the server
	Delay    time.Duration // maximum delay before each piece, which is random
	Split    int           // maximum bytes of a piece, whose length is random
	Stall    time.Duration // once, in both directions, after StallAt bytes
	StallAt  int64
	Rate     int   // bytes a second, in each direction
	CutAt    int64 // cut after so many bytes of both directions together; 0: never
	CutReset bool  // with a RST
	Seed     uint64
}

// Draw returns the plan of a connection, which depends on seed and number only. Most connections have two or three
// faults, every third one is cut, and one in eight has none.
func Draw(seed, number uint64) Plan {
	rng := rand.New(rand.NewPCG(seed, number))
	p := Plan{Seed: rng.Uint64()}
	if rng.IntN(8) == 0 {
		return p
	}
	often := func(one int) bool { return rng.IntN(one) == 0 }
	if often(3) {
		p.Hold = time.Duration(1 + rng.IntN(int(200*time.Millisecond)))
	}
	if often(3) {
		p.Delay = time.Duration(1 + rng.IntN(int(2*time.Millisecond)))
	}
	if often(2) {
		p.Split = 1 << rng.IntN(10)
		if p.Delay > 0 {
			p.Split = max(p.Split, 4<<10) // both together would forward almost nothing
		}
	}
	if often(3) {
		p.Stall = time.Duration(1 + rng.IntN(int(500*time.Millisecond)))
		p.StallAt = place(rng)
	}
	if often(4) {
		p.Rate = 512<<10 + rng.IntN(4<<20)
	}
	if often(3) {
		p.CutAt, p.CutReset = 1+place(rng), often(2)
	}
	return p
}

// place returns a random offset in a stream, uniform in its magnitude.
func place(rng *rand.Rand) int64 { return rng.Int64N(1 << (4 + rng.IntN(17))) }
