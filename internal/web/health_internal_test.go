package web

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/command"
)

// However many requests come while the core hangs, one visit waits for it. It ends when the core goes on.
func TestProbeOfACoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core := broker.New(broker.Options{})
		service, err := command.NewService(core, command.Options{})
		require.NoError(t, err)
		s := New(service, Options{})

		var first *visit
		var requests sync.WaitGroup
		for range 100 {
			requests.Go(func() { assert.False(t, s.probe.check(s, time.Second), "the core does not run") })
		}
		synctest.Wait()
		first = s.probe.pending
		require.NotNil(t, first)
		requests.Wait()
		assert.Same(t, first, s.probe.pending, "the visit is still under way")

		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan struct{})
		go func() { defer close(ran); core.Run(ctx) }()
		<-first.done
		assert.True(t, first.ok)
		assert.True(t, s.probe.check(s, time.Second))

		service.Stop()
		s.Shutdown(ctx)
		assert.False(t, s.probe.check(s, time.Second), "no visit begins behind Shutdown")
		service.Wait()
		stop()
		<-ran
	})
}
