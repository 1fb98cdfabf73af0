// Package drivertest drives the driver of a system as the engine does, for the tests of the drivers.
package drivertest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/connect"
)

// patience bounds each wait; nothing is measured with it.
const patience = time.Minute

// Limit is the largest payload that is taken here.
const Limit = 1 << 20

// Address is what the engine makes of a URL.
func Address(t *testing.T, system connect.System, text string) connect.Address {
	t.Helper()
	target, err := connect.ParseTarget(text, []connect.System{system}, connect.Secrets{})
	require.NoError(t, err)
	return connect.Address{
		URL: target.URL, Hosts: target.Hosts, Query: target.Query, Name: "conch-test", Limit: Limit, Batch: 256, InFlight: 1024,
		Warn: func(text string) { t.Log(text) },
	}
}

// OpenSource connects a source until the test ends.
func OpenSource(t *testing.T, system connect.System, text string, start connect.Start) connect.Source {
	t.Helper()
	s, err := system.Source(Address(t, system, text))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.Background())) })
	ctx, end := context.WithTimeout(t.Context(), patience)
	defer end()
	require.NoError(t, s.Connect(ctx, start))
	return s
}

// OpenSink connects a sink until the test ends.
func OpenSink(t *testing.T, system connect.System, text string) connect.Sink {
	t.Helper()
	s, err := system.Sink(Address(t, system, text))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.Background())) })
	ctx, end := context.WithTimeout(t.Context(), patience)
	defer end()
	require.NoError(t, s.Connect(ctx))
	return s
}

// Reconnect closes a source and connects it again.
func Reconnect(t *testing.T, s connect.Source, start connect.Start) {
	t.Helper()
	require.NoError(t, s.Close(t.Context()))
	require.NoError(t, s.Connect(t.Context(), start))
}

// Read reads n messages and acknowledges them.
func Read(t *testing.T, s connect.Source, n int) (all []connect.Message) {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), patience)
	defer end()
	for len(all) < n {
		b, err := s.Read(ctx)
		require.NoError(t, err)
		all = append(all, b.Messages...)
		if b.Ack != nil {
			require.NoError(t, b.Ack(ctx, nil))
		}
	}
	require.Len(t, all, n)
	return all
}

// ReadPayloads is Read with nothing but the payloads.
func ReadPayloads(t *testing.T, s connect.Source, n int) (payloads []string) {
	t.Helper()
	for _, m := range Read(t, s, n) {
		payloads = append(payloads, string(m.Payload))
	}
	return payloads
}

// ReadError reads until the connection ends, drops what comes, and returns why it ended.
func ReadError(t *testing.T, s connect.Source) error {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), patience)
	defer end()
	for {
		if _, err := s.Read(ctx); err != nil {
			require.NoError(t, ctx.Err(), "in vain: the connection ends")
			return err //nolint:wrapcheck // for the test
		}
	}
}

// Write writes a batch.
func Write(t *testing.T, s connect.Sink, batch []connect.Message) error {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), patience)
	defer end()
	err := s.Write(ctx, batch)
	require.NoError(t, ctx.Err(), "in vain: the batch is written")
	return err //nolint:wrapcheck // for the test
}

// Numbers are messages from a to b: the payload, the id id-N and the header n are their number.
func Numbers(a, b int) (batch []connect.Message) {
	for i := a; i < b; i++ {
		n := fmt.Sprint(i)
		batch = append(batch, connect.Message{Topic: "t", Payload: []byte(n), ID: "id-" + n, Headers: []connect.Header{{Name: "n", Value: n}}})
	}
	return batch
}

// Payloads are those of Numbers.
func Payloads(a, b int) (payloads []string) {
	for i := a; i < b; i++ {
		payloads = append(payloads, fmt.Sprint(i))
	}
	return slices.Clip(payloads)
}
