package server

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
)

// A connection is most of what it costs while it is idle, beside a stack and the kernel's part. The allocator has a class of 1,024 bytes,
// eight of them for its own; the next one is 1,152. What few connections need belongs behind a pointer.
func TestAConnectionFitsItsSizeClass(t *testing.T) {
	assert.LessOrEqual(t, unsafe.Sizeof(conn{}), uintptr(1024-8))
}
