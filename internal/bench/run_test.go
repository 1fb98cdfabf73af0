package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// brief shortens a load for a test.
func brief(address string, l Load) Load {
	l.Address = address
	l.Duration, l.WarmUp, l.StallTime = 100*time.Millisecond, 20*time.Millisecond, harness.Patience
	return l
}

// whole checks that a result counts every message for every subscriber.
func whole(t *testing.T, r *Result, err error) {
	t.Helper()
	require.NoError(t, err)
	assert.Positive(t, r.Published)
	assert.Equal(t, r.Published*int64(r.receivers()), r.Deliveries)
	assert.Zero(t, r.Lost)
	assert.Positive(t, r.Samples)
	assert.Positive(t, r.P50)
	assert.True(t, r.P50 <= r.P90 && r.P90 <= r.P99 && r.P99 <= r.P999 && r.P999 <= r.Max)
	assert.Positive(t, r.DeliveriesPerSecond)
}

func TestRunAgainstConch(t *testing.T) {
	s := harness.Start(t, server.Options{})
	for _, d := range []Dialect{RESP2, RESP3, Line} {
		for _, l := range []Load{
			{},
			{Publishers: 3, Subscribers: 4, Topics: 7},
			{Publishers: 2, Subscribers: 2, Topics: 3, Size: Range{24, 3000}},
			{Pipeline: 1, InFlight: 1},
			{Size: Range{Min: 40_000}}, // more than a read takes
			{Subscribers: 2, Topics: 1200},
			{Publishers: 5, Subscribers: 6, Topics: 3, Spread: true, Pipeline: 1},
			{Publishers: 2, Subscribers: 7, Topics: 7, Spread: true, Size: Range{24, 3000}, InFlight: 4, Prefix: "other:"},
		} {
			l.Dialect = d
			t.Run(l.Words(), func(t *testing.T) {
				r, err := Run(t.Context(), brief(s.Addr, l), nil)
				whole(t, r, err)
			})
		}
	}
}

// With a rate there are exactly the messages of the schedule, each with a latency.
func TestRunPaced(t *testing.T) {
	s := harness.Start(t, server.Options{})
	l := brief(s.Addr, Load{Publishers: 3, Subscribers: 2, Rate: 3000})
	l.PID = os.Getpid()
	r, err := Run(t.Context(), l, nil)
	whole(t, r, err)
	assert.EqualValues(t, 300, r.Published)
	assert.EqualValues(t, 600, r.Samples)
	assert.Positive(t, r.LateMax)
	if runtime.GOOS == "linux" {
		assert.Empty(t, r.ProcessNote)
		assert.Positive(t, r.Memory)
		assert.GreaterOrEqual(t, r.PeakMemory, r.Memory)
	}
}

func TestRunAgainstNATS(t *testing.T) {
	for _, l := range []Load{{}, {Publishers: 2, Subscribers: 3, Topics: 3, Size: Range{24, 100}}, {Rate: 1000}} {
		t.Run(l.Words(), func(t *testing.T) {
			f := &fake{forward: pass}
			l := brief(f.nats(t), l)
			l.Dialect = NATS
			r, err := Run(t.Context(), l, nil)
			whole(t, r, err)
		})
	}
}

func TestRunAgainstTheRelay(t *testing.T) {
	for _, l := range []Load{{}, {Publishers: 3, Subscribers: 5, Topics: 4}, {Size: Range{Min: 40_000}, Subscribers: 2}, {Size: Range{24, 2000}}} {
		t.Run(l.Words(), func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error)
			l := RelayLoad(brief(listener.Addr().String(), l))
			go func() { ended <- Relay(ctx, listener, l.Subscribers, FrameLength(l)) }()
			r, err := Run(t.Context(), l, nil)
			whole(t, r, err)
			stop()
			assert.NoError(t, <-ended)
		})
	}
}

// lossy runs a load of fifty messages against a fake server.
func lossy(t *testing.T, forward func(n int, frame []byte) [][]byte) (*Result, error) {
	t.Helper()
	f := &fake{forward: forward}
	l := Load{Dialect: Raw, Subscribers: 2, Rate: 1000, Duration: 50 * time.Millisecond}
	l.Address = f.raw(t, FrameLength(l))
	l.StallTime = 3 * time.Second // a machine may be too busy to hand on anything for a while
	return Run(t.Context(), l, nil)
}

func TestRunCountsWhatIsLost(t *testing.T) {
	for _, c := range []struct {
		what string
		drop func(n int) bool
		lost int64
	}{
		{"one in the middle", func(n int) bool { return n == 20 }, 1},
		{"many in the middle", func(n int) bool { return n%3 == 1 }, 17},
		{"the first", func(n int) bool { return n == 0 }, 1},
		{"the last, which no other message gives away", func(n int) bool { return n >= 45 }, 5},
		{"all", func(int) bool { return true }, 50},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel() // they wait, most of the time
			r, err := lossy(t, func(n int, frame []byte) [][]byte {
				if c.drop(n) {
					return nil
				}
				return [][]byte{frame}
			})
			require.NoError(t, err)
			assert.EqualValues(t, 50, r.Published)
			assert.Equal(t, 2*c.lost, r.Lost)
			assert.Equal(t, 100-2*c.lost, r.Deliveries)
		})
	}
}

// A server that loses messages of the warm-up is not measured, and the run ends.
func TestRunStallsWhileItWarmsUp(t *testing.T) {
	f := &fake{forward: func(int, []byte) [][]byte { return nil }}
	l := Load{Dialect: Raw, WarmUp: time.Hour, Duration: time.Second} // it cannot be over before there was a message
	l.Address = f.raw(t, FrameLength(l))
	l.StallTime = 300 * time.Millisecond
	r, err := Run(t.Context(), l, nil)
	assert.ErrorIs(t, err, errStalled)
	assert.Nil(t, r)
}

func TestRunWithNothingDue(t *testing.T) {
	s := harness.Start(t, server.Options{})
	l := brief(s.Addr, Load{Rate: 0.001})
	l.WarmUp = time.Millisecond // the first message is due at once
	_, err := Run(t.Context(), l, nil)
	assert.ErrorIs(t, err, errNothingDue)
}

func TestRunEndsOnABrokenServer(t *testing.T) {
	for _, c := range []struct {
		what, want string
		forward    func(n int, frame []byte) [][]byte
	}{
		{"a message twice", "message 9 of publisher 0 came where 10 was due", func(n int, frame []byte) [][]byte {
			if n == 9 {
				return [][]byte{frame, frame}
			}
			return [][]byte{frame}
		}},
		{"a foreign message", "got what is no message of this run", func(n int, frame []byte) [][]byte {
			if n == 9 {
				return [][]byte{[]byte(strings.ReplaceAll(string(frame), "bench", "other"))}
			}
			return [][]byte{frame}
		}},
		{"an error", "the server replied: -ERR tired", func(n int, frame []byte) [][]byte {
			if n == 9 {
				return [][]byte{[]byte("-ERR tired\r\n")}
			}
			return [][]byte{frame}
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			r, err := lossy(t, c.forward)
			assert.ErrorContains(t, err, c.want)
			assert.ErrorContains(t, err, "subscriber ")
			assert.NotNil(t, r)
		})
	}
}

func TestRunCannotBegin(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	_, err = Run(t.Context(), brief(address, Load{}), nil)
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)

	s := harness.Start(t, server.Options{})
	_, err = Run(t.Context(), brief(s.Addr, Load{Dialect: Raw}), nil)
	assert.ErrorContains(t, err, "cannot subscribe: ")

	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err = Run(ctx, brief(s.Addr, Load{}), nil)
	assert.ErrorIs(t, err, context.Canceled)
}

// A server of another kind causes an error, and a silent server does not block the end.
func TestRunStopsWhileItGreets(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	address := (&fake{}).listen(t, func(sock net.Conn) {
		_, _ = sock.Read(make([]byte, 1))
		stop()
	})
	_, err := Run(ctx, brief(address, Load{Dialect: RESP3}), nil)
	assert.ErrorIs(t, err, context.Canceled)
}

// A stopped run returns a partial result.
func TestRunIsStopped(t *testing.T) {
	s := harness.Start(t, server.Options{})
	l := brief(s.Addr, Load{Subscribers: 2, InFlight: 100})
	l.Duration = time.Minute
	ctx, stop := context.WithCancel(t.Context())
	var seen Live
	before := int64(-1)
	r, err := Run(ctx, l, func(v Live) {
		seen = v
		switch {
		case v.WarmUp:
		case before < 0:
			before = v.Deliveries
		case v.Deliveries > before+2*100: // then some of them are measured ones, because no more were in flight
			stop()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, l.Duration+l.WarmUp, seen.Of)
	assert.Positive(t, r.Published)
	assert.Zero(t, r.Lost)
	assert.LessOrEqual(t, r.Deliveries, 2*r.Published)
}

func TestIdle(t *testing.T) {
	s := harness.Start(t, server.Options{})
	for _, d := range []Dialect{RESP2, RESP3, Line} {
		all, err := Idle(t.Context(), s.Addr, 5, d)
		require.NoError(t, err)
		// Besides this connection; the one of the call before may still be ending.
		harness.Eventually(t, func() bool { return s.Info(t, "connected_clients") == 6 }, "the connections stay")
		require.NoError(t, all.Close())
		harness.Eventually(t, func() bool { return s.Info(t, "connected_clients") == 1 }, "the connections end")
	}
	_, err := Idle(t.Context(), "127.0.0.1:1", 5, RESP2)
	assert.ErrorContains(t, err, "cannot connect to 127.0.0.1:1")
}

// The messages in flight never exceed the load's limit.
func TestRunKeepsTheWindow(t *testing.T) {
	for _, l := range []Load{{InFlight: 10, Pipeline: 4}, {InFlight: 7, Publishers: 3, Pipeline: 4}, {InFlight: 64, Subscribers: 3, Publishers: 2}} {
		t.Run(fmt.Sprint(l.InFlight), func(t *testing.T) {
			checked := loadOf(t, l)
			var r *run
			most := 0
			f := &fake{}
			f.forward = func(_ int, frame []byte) [][]byte {
				// Here, before anybody gets this message, sent counts all that are on their way. It is read first: what
				// arrives between the two readings makes room for more to be sent.
				inFlight := 0
				for p := range checked.Publishers {
					sent := int(r.publishers[p].sent.Load())
					lowest, _ := r.window.await(p, 0, nil)
					inFlight += sent - lowest
				}
				most = max(most, inFlight)
				return [][]byte{frame}
			}
			checked.Dialect, checked.Duration = Raw, 50*time.Millisecond
			checked.Address = f.raw(t, FrameLength(*checked))
			r = newRun(*checked)
			require.NoError(t, r.connect(t.Context()))
			tl := newTimeline(r, defaultStallTime, nil)
			tl.watch(r.start())
			r.running.Wait()
			require.NoError(t, r.failure)
			assert.LessOrEqual(t, most, l.InFlight)
			assert.Positive(t, most)
		})
	}
}
