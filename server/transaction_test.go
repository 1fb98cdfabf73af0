package server_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/server"
)

// What a transaction sends to its own connection is held back until its end, and counts against the limit meanwhile,
// however often others get theirs.
func TestATransactionHoldsItsOwnMessagesToTheLimit(t *testing.T) {
	const limit, frame, publishes = 64 << 10, 41, 20_000
	s := harness.Start(t, server.Options{SlowHard: limit, SlowConsumer: outbox.DropNewest})
	c := s.Dial(t)
	go func() { _, _ = io.Copy(io.Discard, c) }()
	c.Send("HELLO 3\r\nSUBSCRIBE a\r\n")
	c.Send("MULTI\r\n%sEXEC\r\n", strings.Repeat(harness.RESP("PUBLISH", "a", strings.Repeat("x", 10)), publishes))
	harness.Eventually(t, func() bool {
		return s.Info(t, "messages_delivered")+s.Info(t, "messages_dropped") == publishes
	}, "not all messages have an end")
	// A few more: the writer counts down what it has written while the core looks. Without the limit there were ten times as many.
	assert.Less(t, s.Info(t, "messages_delivered"), 2*limit/frame)
}
