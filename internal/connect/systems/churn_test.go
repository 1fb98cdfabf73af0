package systems

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/local"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// remote are connectors of all systems that a command can add, with a place for the address of the other side.
var remote = []command.NewConnector{
	{Direction: command.Source, URL: "redis://%s?channel=c"}, {Direction: command.Sink, URL: "redis://%s?channel=c"},
	{Direction: command.Source, URL: "redis://%s?stream=s&group=g"}, {Direction: command.Sink, URL: "redis://%s?stream=s"},
	{Direction: command.Source, URL: "nats://%s?subject=s"}, {Direction: command.Sink, URL: "nats://%s?subject=s&stream=s"},
	{Direction: command.Source, URL: "amqp://%s?queue=q"}, {Direction: command.Sink, URL: "amqp://%s?queue=q"},
	{Direction: command.Source, URL: "mqtt://%s?topic=t"}, {Direction: command.Sink, URL: "mqtt://%s?topic=t"},
	{Direction: command.Source, URL: "kafka://%s?topic=t"}, {Direction: command.Sink, URL: "kafka://%s?topic=t"},
	{Direction: command.Source, URL: "ws://%s"}, {Direction: command.Sink, URL: "ws://%s"},
	{Direction: command.Source, URL: "sse+http://%s"}, {Direction: command.Sink, URL: "http://%s"},
}

// newSet makes a set over a broker of the test.
func newSet(t *testing.T) *connect.Set {
	broker := local.New(harness.Start(t, server.Options{}).Service())
	set := connect.NewSet(broker, &connect.Compiler{Systems: All, Limit: 1 << 20}, zerolog.Nop())
	set.Start()
	t.Cleanup(func() {
		assert.NoError(t, set.StopSources(context.Background()))
		assert.NoError(t, set.StopSinks(context.Background()))
	})
	return set
}

func add(t *testing.T, set *connect.Set, c command.NewConnector, address string) {
	t.Helper()
	c.Name, c.URL, c.Options = "x", fmt.Sprintf(c.URL, address), [][2]string{{"topic", "news"}}
	require.NoError(t, set.Add(t.Context(), c), c.URL)
}

// inUse are goroutines and descriptors of this process.
func inUse(t *testing.T) (goroutines, files int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Log("descriptors are not counted: ", err)
	}
	return runtime.NumGoroutine(), len(entries)
}

// Connectors that come and go leave nothing, whether the other side refuses, or accepts and keeps silent: what waits for it ends at once.
func TestConnectorsThatComeAndGo(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	accepted := make(chan struct{}, 100)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			accepted <- struct{}{}
			accepting.Go(func() {
				_, _ = c.Read(make([]byte, 64<<10)) // the greeting; nothing is answered
				for n := 1; n > 0; {
					n, _ = c.Read(make([]byte, 64<<10)) // the end
				}
				_ = c.Close() // it was read
			})
		}
	})
	t.Cleanup(func() {
		assert.NoError(t, silent.Close())
		accepting.Wait()
	})
	set := newSet(t)
	round := func(times int, address string, connected func()) {
		for _, c := range remote {
			for range times {
				add(t, set, c, address)
				connected()
				require.NoError(t, set.Remove(t.Context(), c.Direction, "x"), c.URL)
			}
		}
	}
	round(1, harness.Unreachable, func() {})
	goroutines, files := inUse(t)
	round(churn, harness.Unreachable, func() {})
	round(1, silent.Addr().String(), func() { <-accepted })
	harness.Eventually(t, func() bool {
		for len(accepted) > 0 { // some dial once more
			<-accepted
		}
		g, f := inUse(t)
		return g < goroutines+churn && f < files+churn
	}, "each time leaves less than one goroutine or descriptor")
}

// churn is how often each connector comes and goes; what looks at the goroutines has less of them itself.
const churn = 10
