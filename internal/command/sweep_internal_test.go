package command

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/outbox"
)

func TestLateness(t *testing.T) {
	assert.Zero(t, lateness(time.Second, time.Second))
	assert.Zero(t, lateness(2*time.Second, time.Second), "a busy machine")
	assert.Equal(t, 79*time.Second, lateness(80*time.Second, time.Second))
}

// The time in which the sweeper did not come round counts neither for slow-time nor for auth-timeout.
func TestATickThatCameLateIsForgiven(t *testing.T) {
	const begun, later, pause = 100 * time.Second, 180 * time.Second, 79 * time.Second
	s := &Service{options: Options{SlowHard: 1 << 30, SlowSoft: 10, SlowTime: 60 * time.Second, AuthTimeout: 10 * time.Second}}
	s.access = new(accessControl)
	slow := newPipe(t, s)
	p := outbox.NewUnflushed()
	p.Add(outbox.Fragment{Bytes: make([]byte, 11)}, outbox.FrameInfo{Kind: outbox.KindOther})
	slow.outbox.Add(p, 0)
	require.Equal(t, CloseReasonNone, slow.sweepReason(begun), "the watch on the soft limit begins")
	stranger, newcomer, quiet := newPipe(t, s), newPipe(t, s), newPipe(t, s)
	stranger.unauthSince.Store(int64(begun))
	newcomer.unauthSince.Store(int64(later - time.Second)) // it came at the end of the pause
	for _, c := range []*pipe{slow, stranger, newcomer, quiet} {
		s.conns.add(&c.Conn)
	}

	s.sweepConns(later, pause)
	assert.EqualValues(t, later, s.clock.Load())
	assert.Equal(t, begun+pause, slow.softSince)
	assert.EqualValues(t, begun+pause, stranger.unauthSince.Load())
	assert.EqualValues(t, later, newcomer.unauthSince.Load(), "there is no time on top")
	assert.Zero(t, quiet.softSince+time.Duration(quiet.unauthSince.Load()), "a connection that is not watched stays so")

	assert.Equal(t, CloseReasonSlowSoft, slow.sweepReason(later+60*time.Second), "what comes after counts")
	assert.Equal(t, CloseReasonAuthTimeout, stranger.sweepReason(later+10*time.Second))
}
