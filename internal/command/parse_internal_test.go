package command

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

func inRESP(args ...string) string {
	b := protocol.AppendArray(nil, len(args))
	for _, arg := range args {
		b = protocol.AppendBulkString(b, arg)
	}
	return string(b)
}

// What may cost much more than it is long is a batch of its own: others are served before the next one.
func TestCostlyCommandsAreTakenOneAtATime(t *testing.T) {
	s := newService(t, Options{})
	for _, test := range []struct {
		command string
		calls   int // of three such commands in a row, in the first batch
	}{
		{inRESP("CLIENT", "KILL", "ID", "1"), 1},
		{inRESP("ACL", "SETUSER", "u", "on"), 1},
		{inRESP("ACL", "DELUSER", "u"), 1},
		{inRESP("ACL", "TOKEN", "REVOKE", "u", "t"), 1},
		{inRESP("CONFIG", "SET", "requirepass", ""), 1},
		{inRESP("CLIENT", "LIST"), 1},
		{inRESP("CLIENT", "ID"), 3},
	} {
		c := newPipe(t, s)
		in := outbox.NewBuffer(nil, 1<<10)
		b := newBatch(&c.sub, in, 0, copy(in.Bytes, test.command+test.command+test.command))
		assert.Equal(t, CloseReasonNone, c.Reader.parse(b))
		assert.Len(t, b.calls, test.calls, "%q", test.command)
		assert.Equal(t, test.calls*len(test.command), b.used)
		b.release()
	}
}
