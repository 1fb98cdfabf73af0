package faulty

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// arrival is a piece received from a link, and its time since the start.
type arrival struct {
	text string
	at   time.Duration
}

// through writes pieces into a link with pauses in between, and returns the pieces received on the other side. It runs in
// a synctest bubble, whose clock is exact and needs no real time.
func through(t *testing.T, plan Plan, pieces ...string) (got []arrival, faults map[Fault]int) {
	client, near := net.Pipe()
	far, server := net.Pipe()
	faults = make(map[Fault]int)
	l := &link{plan: plan, client: near, server: far, onFault: func(f Fault) { faults[f]++ }}
	var tasks sync.WaitGroup
	begin := time.Now()
	tasks.Go(func() { l.run(t.Context()) })
	tasks.Go(func() {
		for _, piece := range pieces {
			if _, err := io.WriteString(client, piece); err != nil {
				return // it was cut
			}
		}
		synctest.Wait()
		_ = client.Close() // a pipe's close does not fail
	})
	buffer := make([]byte, 1<<10)
	for {
		n, err := server.Read(buffer)
		if n > 0 {
			got = append(got, arrival{string(buffer[:n]), time.Since(begin)})
		}
		if err != nil {
			break
		}
	}
	_ = server.Close()
	tasks.Wait()
	return got, faults
}

func TestFaults(t *testing.T) {
	tests := []struct {
		sentence string
		plan     Plan
		pieces   []string
		want     []arrival
		faults   map[Fault]int
	}{
		{
			"without a plan, everything passes as it comes",
			Plan{}, []string{"one", "two"}, []arrival{{"one", 0}, {"two", 0}}, map[Fault]int{},
		},
		{
			"a split leaves single bytes",
			Plan{Split: 1}, []string{"abc"}, []arrival{{"a", 0}, {"b", 0}, {"c", 0}}, map[Fault]int{Split: 1},
		},
		{
			"a delay of one nanosecond is drawn from one",
			Plan{Delay: 1}, []string{"a", "b"}, []arrival{{"a", 1}, {"b", 2}}, map[Fault]int{Delay: 1},
		},
		{
			"a rate is kept piece by piece",
			Plan{Rate: 2}, []string{"abcd", "ef"}, []arrival{{"abcd", 2 * time.Second}, {"ef", 3 * time.Second}},
			map[Fault]int{Throttle: 1},
		},
		{
			"a stall comes once, when its place is passed",
			Plan{Stall: time.Minute, StallAt: 3}, []string{"abc", "d", "e"},
			[]arrival{{"abc", 0}, {"d", time.Minute}, {"e", time.Minute}}, map[Fault]int{Stall: 1},
		},
		{
			"a cut comes in the middle of what was written",
			Plan{CutAt: 5}, []string{"abc", "def", "ghi"}, []arrival{{"abc", 0}, {"de", 0}}, map[Fault]int{Close: 1},
		},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, faults := through(t, test.plan, test.pieces...)
				assert.Equal(t, test.want, got)
				assert.Equal(t, test.faults, faults)
			})
		})
	}
}

// echo is an echo server.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			sock, err := l.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() {
				_, _ = io.Copy(sock, sock) // the test ends it
				_ = sock.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		tasks.Wait()
	})
	return l.Addr().String()
}

func dial(t *testing.T, p *Proxy) *net.TCPConn {
	sock, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	require.NoError(t, sock.SetDeadline(time.Now().Add(10*time.Minute)))
	t.Cleanup(func() { _ = sock.Close() })
	return sock.(*net.TCPConn)
}

func TestWhatPassesIsUnchanged(t *testing.T) {
	p, err := Start(echo(t), func(number uint64) Plan {
		plan := Draw(1, number)
		plan.CutAt = 0
		return plan
	})
	require.NoError(t, err)
	t.Cleanup(p.Shut)
	var tasks sync.WaitGroup
	for range 20 {
		sock := dial(t, p)
		tasks.Go(func() {
			text := make([]byte, 20_000)
			for i := range text {
				text[i] = byte(i * i)
			}
			var sending sync.WaitGroup
			sending.Go(func() {
				_, err := sock.Write(text)
				assert.NoError(t, err)
				assert.NoError(t, sock.CloseWrite()) // the proxy forwards it
			})
			got, err := io.ReadAll(sock)
			assert.NoError(t, err)
			assert.Equal(t, text, got)
			sending.Wait()
		})
	}
	tasks.Wait()
	assert.EqualValues(t, 20, p.Conns())
	assert.NotZero(t, p.Count(Split))
	assert.NotZero(t, p.Count(Stall))
}

func TestCuts(t *testing.T) {
	for _, reset := range []bool{false, true} {
		p, err := Start(echo(t), func(uint64) Plan { return Plan{CutAt: 8, CutReset: reset} })
		require.NoError(t, err)
		sock := dial(t, p)
		_, err = io.WriteString(sock, "abc") // 3 there, 3 back
		require.NoError(t, err)
		got := make([]byte, 3)
		_, err = io.ReadFull(sock, got)
		require.NoError(t, err)
		_, err = io.WriteString(sock, "defg") // the cut comes after two of them
		require.NoError(t, err)
		rest, err := io.ReadAll(sock)
		assert.Empty(t, rest)
		if reset {
			assert.Error(t, err)
			assert.EqualValues(t, 1, p.Count(Reset))
		} else {
			assert.EqualValues(t, 1, p.Count(Close))
		}
		p.Shut()
	}
}

func TestAServerThatIsAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	p, err := Start(l.Addr().String(), func(uint64) Plan { return Plan{} })
	require.NoError(t, err)
	t.Cleanup(p.Shut)
	rest, _ := io.ReadAll(dial(t, p)) // closed or reset
	assert.Empty(t, rest)
}

func TestShutEndsWhatStalls(t *testing.T) {
	p, err := Start(echo(t), func(uint64) Plan { return Plan{Stall: time.Hour} })
	require.NoError(t, err)
	sock := dial(t, p)
	_, err = io.WriteString(sock, "never passed on")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return p.Count(Stall) == 1 }, 10*time.Minute, time.Millisecond)
	p.Shut()
	rest, _ := io.ReadAll(sock)
	assert.Empty(t, rest)
}

func TestDrawIsRepeatable(t *testing.T) {
	var seen Plan
	for number := range uint64(1000) {
		p := Draw(7, number)
		assert.Equal(t, p, Draw(7, number))
		seen.Hold, seen.Delay, seen.Split = max(seen.Hold, p.Hold), max(seen.Delay, p.Delay), max(seen.Split, p.Split)
		seen.Stall, seen.Rate, seen.CutAt = max(seen.Stall, p.Stall), max(seen.Rate, p.Rate), max(seen.CutAt, p.CutAt)
		seen.CutReset = seen.CutReset || p.CutReset
	}
	assert.NotContains(t, []any{seen.Hold, seen.Delay, seen.Stall}, time.Duration(0))
	assert.NotContains(t, []any{seen.Split, seen.Rate}, 0)
	assert.NotZero(t, seen.CutAt)
	assert.True(t, seen.CutReset)
	assert.Equal(t, "reset", Reset.String())
	assert.Len(t, Faults(), int(faults))
	assert.False(t, wait(canceled(), time.Hour))
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
