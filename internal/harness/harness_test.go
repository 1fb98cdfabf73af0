package harness

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// failing is a test that fails, without failing the test that runs it.
type failing struct {
	testing.TB
	failed bool
}

func (f *failing) Errorf(string, ...any) { f.failed = true }

func (f *failing) FailNow() { runtime.Goexit() }

func TestEventuallyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		Eventually(t, func() bool { return time.Since(began) >= time.Minute }, "a minute passes")
		assert.Less(t, time.Since(began), time.Minute+time.Second)
	})
}

func TestEventuallyFails(t *testing.T) {
	for _, tt := range []struct {
		name  string
		holds func(*failing) bool
		after time.Duration
	}{
		{"a condition that requires what is not", func(f *failing) bool { require.Fail(f, ""); return true }, 0},
		{"a condition that never holds", func(*failing) bool { return false }, Patience},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, began, ended := &failing{TB: t}, time.Now(), make(chan bool)
				var holds bool
				go func() {
					defer close(ended)
					Eventually(f, func() bool { return tt.holds(f) }, "")
					holds = true
				}()
				<-ended
				assert.True(t, f.failed)
				assert.False(t, holds)
				assert.InDelta(t, tt.after, time.Since(began), float64(time.Second))
			})
		})
	}
}

// Servers that start later have addresses of their own.
func TestFreeAddressesDiffer(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		address := FreeAddress(t)
		require.False(t, seen[address], address)
		seen[address] = true
	}
}
