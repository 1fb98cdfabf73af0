package command

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/outbox"
)

// 64 KiB of two-byte commands are 32,768 of them: as one batch they took 10 MB, and everybody waited for all.
func TestABatchIsBounded(t *testing.T) {
	r := &newPipe(t, newService(t, Options{})).Reader
	in := outbox.NewBuffer(nil, 64<<10)
	copy(in.Bytes, strings.Repeat("a\n", 32<<10))
	b := newBatch(&r.sub, in, 0, len(in.Bytes))
	assert.Equal(t, CloseReasonNone, r.parse(b))
	assert.Len(t, b.calls, maxOthers)
	assert.True(t, r.moreBuffered, "the rest is taken without another read")
	assert.Less(t, b.memSize(), int64(512<<10))
	r.keepPartial(b)
	assert.Same(t, in, r.buf, "and without a copy")
	assert.Equal(t, b.used, r.start)
	r.releaseReader()
	b.release()
}

// What has not authenticated has one batch with the core at a time: each of its commands costs a refusal.
func TestAnUnauthenticatedClientHasOneBatchInFlight(t *testing.T) {
	r := &newPipe(t, newService(t, Options{RequirePassword: "pw"})).Reader
	r.requireAuth()
	in := outbox.NewBuffer(nil, 1<<10)
	for _, sent := range []string{"a\na\n", "a\npart"} { // whole commands, and one that is not whole
		b := newBatch(&r.sub, in, 0, copy(in.Bytes, sent))
		in.Retain() // for the next batch
		assert.Equal(t, CloseReasonNone, r.parse(b))
		r.keepPartial(b)
		assert.True(t, r.sync, "%q", sent)
		b.release()
	}
	in.Release()
	r.releaseReader()
}
