package client

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// BenchmarkPublish publishes 100 bytes to a topic without subscribers, and waits for the last acknowledgement. Time and
// allocations are those of publisher and server together.
func BenchmarkPublish(b *testing.B) {
	s := harness.Start(b, server.Options{})
	for _, connections := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			p, err := NewPublisher(b.Context(), Options{Addr: s.Addr}, PublisherOptions{Connections: connections})
			require.NoError(b, err)
			ctx, payload := context.Background(), make([]byte, 100)
			b.ReportAllocs()
			b.SetBytes(int64(len(payload)))
			b.ResetTimer()
			for range b.N {
				if _, err := p.Publish(ctx, "topic", payload); err != nil {
					b.Fatal(err)
				}
			}
			require.NoError(b, p.Flush(ctx))
			b.StopTimer()
			require.NoError(b, p.Close())
		})
	}
}

// BenchmarkClientPublish has goroutines publish 100 bytes each time to a topic without subscribers, over one connection,
// and wait for every acknowledgement. Time and allocations are those of client and server together.
func BenchmarkClientPublish(b *testing.B) {
	s := harness.Start(b, server.Options{})
	for _, goroutines := range []int{1, 64, 4096} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			c, err := Dial(b.Context(), Options{Addr: s.Addr})
			require.NoError(b, err)
			ctx, payload := context.Background(), make([]byte, 100)
			b.ReportAllocs()
			b.SetBytes(int64(len(payload)))
			b.ResetTimer()
			var begun atomic.Int64
			var tasks sync.WaitGroup
			for range goroutines {
				tasks.Go(func() {
					for begun.Add(1) <= int64(b.N) {
						if _, err := c.Publish(ctx, "topic", payload); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			tasks.Wait()
			b.StopTimer()
			require.NoError(b, c.Close())
		})
	}
}
