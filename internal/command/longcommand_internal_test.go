package command

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// A long command may be 64 MiB. Its pieces leave nothing of it in the pool.
func TestAPieceLeavesNothingInThePool(t *testing.T) {
	const names = maxNames + 100
	sub := protocol.Lookup([]byte("SUB"))
	k := invocation{row: sub, handler: handlerByIndex[sub.Index()], args: bytes.Fields(bytes.Repeat([]byte("a "), 1+names)), long: &longCommand{names: names}}
	b := k.batch(nil, outbox.WrapBuffer(nil, nil), broker.Request{}, maxNames)
	args := b.calls[0].args
	assert.Len(t, args, 1+100)
	b.release()
	assert.False(t, slices.ContainsFunc(args, func(arg []byte) bool { return arg != nil }))
}
