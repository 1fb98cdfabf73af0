package command

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/outbox"
)

// What is encoded for one kind of receiver lies side by side, so that it reaches each outbox as one fragment.
func TestRepliesLieSideBySide(t *testing.T) {
	e := new(encoder)
	first := e.replies.commit(append(e.begin(512), "+one\r\n"...))
	second := e.replies.commit(append(e.begin(512), "+two\r\n"...))
	assert.Equal(t, "+one\r\n+two\r\n", string(first.Bytes[:len(first.Bytes)+len(second.Bytes)]))
	large := bytes.Repeat([]byte{'x'}, 2*outbox.MediumBuffers.BufferSize)
	third := e.replies.commit(append(e.begin(512), large...))
	assert.Nil(t, third.Buf, "a reply that outgrew the arena stands alone")
	assert.Equal(t, large, third.Bytes)
	fourth := e.replies.commit(append(e.begin(512), "+four\r\n"...))
	assert.Equal(t, "+four\r\n", string(fourth.Bytes))
}
