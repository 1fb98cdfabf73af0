package daemon

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTheNumberOfProcessorsFollowsTheLoad(t *testing.T) {
	calm := func(n int) []float64 { return make([]float64, n) }
	tests := []struct {
		sentence  string
		now, most int
		used      []float64 // processors' worth of time, look by look
		want      int
	}{
		{"one serves while it is not busy", 1, 8, []float64{0.6, 0.7, 0.1}, 1},
		{"twice as many when it is", 1, 8, []float64{0.9}, 2},
		{"and again", 1, 8, []float64{0.9, 1.9, 3.9}, 8},
		{"never more than there are", 2, 3, []float64{2, 3, 3}, 3},
		{"they stay while they are used", 4, 4, []float64{1.7, 1.7, 1.7}, 4},
		{"they stay for a while when they are not", 4, 4, calm(idleTicksToHalve - 1), 4},
		{"then half of them goes", 4, 4, calm(idleTicksToHalve), 2},
		{"and half of those", 4, 4, calm(2 * idleTicksToHalve), 1},
		{"one always stays", 4, 4, calm(9 * idleTicksToHalve), 1},
		{"a busy moment starts the wait anew", 4, 4, append(append(calm(idleTicksToHalve-1), 2), calm(idleTicksToHalve-1)...), 4},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			p := procScaler{now: test.now, maxProcs: test.most}
			for _, used := range test.used {
				p.step(used)
			}
			assert.Equal(t, test.want, p.now)
		})
	}
}

func TestProcessorsAreGivenBack(t *testing.T) {
	most := runtime.GOMAXPROCS(0)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); scaleProcs(stop) }()
	close(stop)
	<-ended
	assert.Equal(t, most, runtime.GOMAXPROCS(0))
}

func TestGOMAXPROCSIsKept(t *testing.T) {
	t.Setenv("GOMAXPROCS", "2")
	was := runtime.GOMAXPROCS(3)
	defer runtime.GOMAXPROCS(was)
	scaleProcs(nil) // returns at once
	assert.Equal(t, 3, runtime.GOMAXPROCS(0))
}

func TestProcessorTimeGoesUp(t *testing.T) {
	before := processorTime()
	assert.Eventually(t, func() bool { return processorTime() > before }, 10*time.Minute, time.Millisecond)
}
