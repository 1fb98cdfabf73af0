package client

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/conchtest"
	"github.com/conchmq/conch/server"
)

// BenchmarkPublish publishes 100 bytes to a topic without subscribers, and waits for the last acknowledgement. Time and
// allocations are those of publisher and server together.
func BenchmarkPublish(b *testing.B) {
	s := conchtest.Start(b, server.Options{})
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
