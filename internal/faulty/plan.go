package faulty

import (
	"math/rand/v2"
	"time"
)

// Fault is one kind of harm that a connection can come to.
type Fault int

// The faults. Nothing changes a byte or the order of bytes: TCP would not let that pass.
const (
	Hold     Fault = iota // it reaches the server later, perhaps after connections that were made later
	Delay                 // each piece takes its time
	Split                 // writes are taken apart at any byte
	Stall                 // nothing passes for a while
	Throttle              // so many bytes a second, and no more
	Close                 // it is cut, with a FIN to both sides
	Reset                 // it is cut, with a RST to both sides
	faults
)

var faultNames = [faults]string{"hold", "delay", "split", "stall", "throttle", "close", "reset"}

func (f Fault) String() string { return faultNames[f] }

// Faults are all kinds there are.
func Faults() []Fault { return []Fault{Hold, Delay, Split, Stall, Throttle, Close, Reset} }

// Plan is what one connection comes to. The zero Plan passes everything on as it comes.
type Plan struct {
	Hold     time.Duration // before the server is dialed
	Delay    time.Duration // at most so long before each piece; the length of each is drawn
	Split    int           // at most so many bytes in a piece; the length of each is drawn
	Stall    time.Duration // once, in both directions, when StallAt bytes have passed
	StallAt  int64
	Rate     int   // bytes a second, in each direction
	CutAt    int64 // cut when so many bytes have passed in both directions together; 0: never
	CutReset bool  // with a RST
	Seed     uint64
}

// Draw plans for the connection of that number, the same for the same seed. Most connections come to two or three
// faults, every third one is cut, and one in eight is left alone.
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
			p.Split = max(p.Split, 4<<10) // else the two together pass next to nothing
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

// place is where in a stream something happens: near its begin as often as far into it.
func place(rng *rand.Rand) int64 { return rng.Int64N(1 << (4 + rng.IntN(17))) }
