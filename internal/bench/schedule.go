package bench

import (
	"math"
	"time"
)

// schedule has the scheduled times of one publisher's messages. The publishers alternate: of P publishers at R messages a
// second, message k of publisher p is due (k·P + p)/R seconds after the start.
type schedule struct {
	rate                  float64
	publisher, publishers int
}

func (s schedule) due(sequence int) time.Duration {
	return time.Duration(float64(sequence*s.publishers+s.publisher) / s.rate * float64(time.Second))
}

// before is the number of messages due before a time.
func (s schedule) before(t time.Duration) int {
	all := t.Seconds() * s.rate
	return max(0, int(math.Ceil((all-float64(s.publisher))/float64(s.publishers))))
}
