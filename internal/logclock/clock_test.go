package logclock

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conchmq/conch/internal/testseed"
	"github.com/stretchr/testify/assert"
)

// hands are clocks that a test sets.
type hands struct{ wall, monotonic, asleep time.Duration }

func (h *hands) read() (wall, monotonic time.Duration) { return h.wall, h.monotonic }
func (h *hands) suspended() time.Duration              { return h.asleep }

// pass lets time go on.
func (h *hands) pass(d time.Duration) { h.wall += d; h.monotonic += d }

// ms is a reading in the tests: milliseconds since their beginning.
func ms(c *Clock) int64 { return c.Now() - 1000*3600 }

func newHands() *hands { return &hands{wall: time.Hour, monotonic: time.Minute} }

func TestAStart(t *testing.T) {
	h := newHands()
	assert.EqualValues(t, 0, ms(newClock(0, h)), "the wall clock")
	assert.EqualValues(t, 0, ms(newClock(7, h)), "is never set back by an old log")
	ahead := newClock(3600_500, h)
	assert.EqualValues(t, 500, ms(ahead), "the log, where that is later")
	h.pass(time.Second)
	assert.EqualValues(t, 1400, ms(ahead), "and more slowly from there on")
	h.pass(9 * time.Second)
	assert.EqualValues(t, 10_000, ms(ahead))
	assert.Positive(t, newClock(1<<62, h).Now(), "a time that no log can have")
}

func TestTheWallClockIsSet(t *testing.T) {
	for _, test := range []struct {
		sentence string
		step     time.Duration
		after    []int64 // readings, a second apart
	}{
		{"a little forward", 150 * time.Millisecond, []int64{1100, 2150, 3150}},
		{"far forward", time.Hour, []int64{1100, 2200, 3300}},
		{"a little back", -150 * time.Millisecond, []int64{900, 1850, 2850}},
		{"far back", -30 * time.Minute, []int64{900, 1800, 2700}},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			h := newHands()
			c := newClock(0, h)
			h.wall += test.step
			assert.EqualValues(t, 0, ms(c), "no jump")
			for _, want := range test.after {
				h.pass(time.Second)
				assert.Equal(t, want, ms(c))
			}
		})
	}
}

func TestAPause(t *testing.T) {
	for _, test := range []struct {
		sentence string
		passed   time.Duration // by the monotonic clock
		asleep   time.Duration // by the machine
		step     time.Duration // of the wall clock beside that
		want     int64
	}{
		{"nothing was read for long, and the wall clock was set forward", 11 * time.Second, 0, time.Minute, 71_000},
		{"nothing was read for long, and the wall clock was set back", 11 * time.Second, 0, -time.Minute, 9900},
		{"shorter", 10 * time.Second, 0, time.Minute, 11_000},
		{"the machine was suspended", time.Second, time.Minute, 0, 61_000},
		{"it was suspended for a moment", time.Second, 5 * time.Second, time.Minute, 1100},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			h := newHands()
			c := newClock(0, h)
			h.pass(test.passed)
			h.wall += test.asleep + test.step
			h.asleep += test.asleep
			assert.Equal(t, test.want, ms(c))
		})
	}
}

// A suspension counts once: a wall clock that is set later is followed slowly.
func TestASuspensionIsNotAReasonForEver(t *testing.T) {
	h := newHands()
	c := newClock(0, h)
	h.wall, h.asleep = h.wall+time.Minute, time.Minute
	assert.EqualValues(t, 60_000, ms(c))
	h.wall += time.Hour
	h.pass(time.Second)
	assert.EqualValues(t, 61_100, ms(c))
}

func TestUntil(t *testing.T) {
	for _, test := range []struct {
		sentence string
		ahead    time.Duration
		at       int64
		want     time.Duration
	}{
		{"the clocks agree", 0, 1000, time.Second},
		{"it is there", 0, 0, 0},
		{"it is past", 0, -1, 0},
		{"slower all the time", time.Hour, 900, time.Second},
		{"faster all the time", -time.Hour, 1100, time.Second},
		{"slower at first", 100 * time.Millisecond, 10_000, 10_100 * time.Millisecond},
		{"faster at first", -100 * time.Millisecond, 10_000, 9900 * time.Millisecond},
		{"as far as a number allows", 0, 1<<63 - 1 - 3600_000, longestWait},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			h := newHands()
			c := newClock(0, h)
			h.wall -= test.ahead
			wait := c.Until(3600_000 + test.at)
			assert.Equal(t, test.want, wait)
			if wait < longestWait {
				h.pass(wait)
				assert.GreaterOrEqual(t, ms(c), test.at)
			}
		})
	}
}

// Whatever happens to the wall clock, the clock never goes back, and keeps to a tenth of the time that passes.
func TestItNeverGoesBack(t *testing.T) {
	seed := testseed.New()
	random := rand.New(rand.NewPCG(seed, 0))
	h := newHands()
	c := newClock(0, h)
	before := c.now
	for range 10_000 {
		passed := time.Duration(random.Int64N(int64(20 * time.Second)))
		h.pass(passed)
		if random.IntN(4) == 0 {
			h.wall += time.Duration(random.Int64N(int64(2*time.Hour))) - time.Hour
		}
		c.Now()
		assert.GreaterOrEqual(t, c.now, before+passed-passed/slew, "seed %d", seed)
		if passed <= longPause {
			assert.LessOrEqual(t, c.now, before+passed+passed/slew, "seed %d", seed)
		}
		before = c.now
	}
}

// The clock of the machine, in a bubble whose time goes as the test waits.
func TestTheMachinesClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(0)
		start := c.Now()
		assert.Equal(t, time.Now().UnixMilli(), start)
		<-time.After(c.Until(start + 1234))
		assert.Equal(t, start+1234, c.Now())
	})
}
