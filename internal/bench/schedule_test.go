package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// The publishers alternate, and none of them drifts.
func TestSchedule(t *testing.T) {
	second := schedule{rate: 1000, publisher: 1, publishers: 4}
	assert.Equal(t, time.Millisecond, second.due(0))
	assert.Equal(t, 5*time.Millisecond, second.due(1))
	assert.Equal(t, time.Hour+time.Millisecond, second.due(900_000))

	thirds := schedule{rate: 3, publishers: 1}
	assert.Equal(t, 333333333*time.Nanosecond, thirds.due(1))
	assert.Equal(t, 1000*time.Second, thirds.due(3000))
}

// Each message is due either before a time, or at or after it.
func TestScheduleBefore(t *testing.T) {
	for _, s := range []schedule{
		{1000, 0, 1}, {1000, 1, 4}, {1000, 3, 4}, {5000, 0, 1}, {20_000, 2, 4}, {0.5, 0, 1}, {7, 2, 3}, {333.3, 0, 2},
	} {
		assert.Zero(t, s.before(0))
		for _, at := range []time.Duration{time.Nanosecond, time.Millisecond, 1234567 * time.Nanosecond, time.Second, 2500 * time.Millisecond} {
			n := s.before(at)
			const rounding = time.Nanosecond
			assert.GreaterOrEqual(t, s.due(n)+rounding, at, "%+v at %v", s, at)
			if n > 0 {
				assert.LessOrEqual(t, s.due(n-1), at, "%+v at %v", s, at)
			}
		}
	}
}

// The publishers together send at the rate.
func TestScheduleOfAll(t *testing.T) {
	sum := 0
	for p := range 7 {
		sum += schedule{20_000, p, 7}.before(3 * time.Second)
	}
	assert.Equal(t, 60_000, sum)
}
