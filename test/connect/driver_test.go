//go:build connect

package connect

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/connect"
)

// address reads a URL as the config file's.
func address(t *testing.T, s connect.System, url string) connect.Address {
	t.Helper()
	target, err := connect.ParseTarget(url, []connect.System{s}, connect.Secrets{})
	require.NoError(t, err)
	return connect.Address{
		URL: target.URL, Query: target.Query, Hosts: target.Hosts, Name: "conch-" + t.Name(), Limit: limit, Batch: 1000, InFlight: 1000,
		Warn: func(text string) { t.Log("warning: " + text) },
	}
}

// makeSource makes the source of a URL.
func makeSource(t *testing.T, s connect.System, url string) connect.Source {
	t.Helper()
	a := address(t, s, url)
	source, err := s.Source(a)
	require.NoError(t, err)
	require.Empty(t, a.Query, "the driver knows all of the query")
	return source
}

func makeSink(t *testing.T, s connect.System, url string) connect.Sink {
	t.Helper()
	a := address(t, s, url)
	sink, err := s.Sink(a)
	require.NoError(t, err)
	require.Empty(t, a.Query, "the driver knows all of the query")
	return sink
}

// openSource connects, too.
func openSource(t *testing.T, s connect.System, url string, start connect.Start) connect.Source {
	t.Helper()
	source := makeSource(t, s, url)
	require.NoError(t, source.Connect(t.Context(), start))
	t.Cleanup(func() { _ = source.Close(context.Background()) }) // most tests have closed it
	return source
}

func openSink(t *testing.T, s connect.System, url string) connect.Sink {
	t.Helper()
	sink := makeSink(t, s, url)
	require.NoError(t, sink.Connect(t.Context()))
	t.Cleanup(func() { require.NoError(t, sink.Close(context.Background())) })
	return sink
}

// readAll reads n messages. The function acknowledges them: with a *connect.Refused if they came in one batch.
func readAll(t *testing.T, s connect.Source, n int) (messages []connect.Message, ack func(err error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	type taken struct {
		batch connect.Batch
		first int
	}
	var batches []taken
	for len(messages) < n {
		batch, err := s.Read(ctx)
		require.NoError(t, err)
		batches = append(batches, taken{batch, len(messages)})
		messages = append(messages, batch.Messages...)
	}
	return messages, func(err error) {
		var refused *connect.Refused
		_ = errors.As(err, &refused) // else nothing is
		for _, b := range batches {
			if b.batch.Ack != nil {
				require.NoError(t, b.batch.Ack(ctx, part(refused, b.first, len(b.batch.Messages))))
			}
		}
	}
}

// part is what is refused of one batch.
func part(refused *connect.Refused, first, n int) error {
	if refused == nil {
		return nil
	}
	r := &connect.Refused{Err: errors.New("never taken")}
	for _, i := range refused.Indices {
		if i >= first && i < first+n {
			r.Indices = append(r.Indices, i-first)
		}
	}
	if len(r.Indices) == 0 {
		return nil
	}
	return r
}

func isPermanent(err error) bool {
	var p *connect.Permanent
	return errors.As(err, &p)
}

// next takes one of a Go channel.
func next[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v, ok := <-from:
		require.True(t, ok, "the connection ended: "+what)
		return v
	case <-time.After(patience):
		require.FailNow(t, "in vain: "+what)
		panic("unreachable")
	}
}
