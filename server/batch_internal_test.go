package server

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
)

// 64 KiB of two-byte commands are 32,768 of them: as one batch they took 10 MB, and everybody waited for all.
func TestABatchIsBounded(t *testing.T) {
	c := newConn(servePipes(t, 1)[0].srv, nil)
	in := outbox.NewBuffer(nil, 64<<10)
	copy(in.Bytes, strings.Repeat("a\n", 32<<10))
	b := newBatch(broker.NewSubscriber(c), in, 0, len(in.Bytes))
	assert.Equal(t, CloseReasonNone, c.parse(b))
	b.fillRequests()
	assert.Len(t, b.calls, maxOthers)
	assert.True(t, c.reader.moreBuffered, "the rest is taken without another read")
	assert.Less(t, b.memSize(), int64(512<<10))
	c.keepPartial(b)
	assert.Same(t, in, c.reader.buf, "and without a copy")
	assert.Equal(t, b.used, c.reader.start)
	c.releaseReader()
	b.release()
}
