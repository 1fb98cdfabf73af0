package command

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/recent"
)

// Publishes of both dialects are kept, as runs, in transactions and beside predicates. A large payload stays in the buffer that
// it was read into.
func TestPublishesAreKept(t *testing.T) {
	s := newService(t, Options{Unprotected: true, Recent: 1 << 20})
	p := serveOn(t, s)
	large := strings.Repeat("x", outbox.LargePayload)
	p.say("SUB a WHERE price > 1")
	_, err := io.WriteString(p.sock, "PUBLISH a 1\r\nPUB b 2\r\nPUB b 3\r\n*1\r\n$5\r\nMULTI\r\n"+
		"*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$1\r\n4\r\n*1\r\n$4\r\nEXEC\r\n*3\r\n$7\r\nPUBLISH\r\n$1\r\nd\r\n$"+
		fmt.Sprint(len(large))+"\r\n"+large+"\r\nSPUBLISH e 6\r\nPING\r\n")
	require.NoError(t, err)
	for line := ""; line != "+PONG\r\n"; {
		line, err = p.from.ReadString('\n')
		require.NoError(t, err)
	}
	var kept []string
	for from := uint64(1); ; {
		c, _ := s.recent.Chunk(from)
		if c == nil {
			break
		}
		for r, m := c.Reader(), (recent.Message{}); r.Next(&m); from = m.Sequence + 1 {
			kept = append(kept, fmt.Sprintf("%d %s=%.3s", m.Sequence, m.Topic, m.Payload))
		}
		c.Release()
	}
	assert.Equal(t, []string{"1 a=1", "2 b=2", "3 b=3", "4 c=4", "5 d=xxx"}, kept)
}

func TestRecentIsBounded(t *testing.T) {
	for reason, o := range map[string]Options{
		"--recent must not be negative: -1":                                             {Recent: -1},
		"--recent 513 is over half of --max-memory 1024: clients would have too little": {Recent: 513, MaxMemory: 1024},
	} {
		_, err := o.withDefaults()
		assert.EqualError(t, err, reason)
	}
}
