//go:build connect

package connect

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestAccounts follows messages from Redis through a durable topic to JetStream, of which both are killed on the way: some are held back, some
// are dead letters of the source, some of the sink. Each count is that of what is where in the end, and the source balances at each look.
func TestAccounts(t *testing.T) {
	startRedis(t)
	startNATS(t)
	in, out := redisSystem().open(t), jetStreamSystem().open(t)
	c := startConch(t, sourceTable("in", in.source, "d.to.{field.region}", `where = "price > 0"`, `dead = "d.dead"`)+
		sinkTable("out", "d.to.*", out.lacks, `dead = "d.dead"`, "tries = 2"))
	c.awaitRunning("in", "out")
	const n = 3000
	var payloads, sent []string
	for i := range n {
		switch i % 10 {
		case 0: // the predicate holds it back
			payloads = append(payloads, fmt.Sprintf(`{"n":%d,"price":0,"region":"eu","missing":"x"}`, i))
		case 1: // the source finds no topic
			payloads = append(payloads, fmt.Sprintf(`{"n":%d,"price":1,"missing":"x"}`, i))
		case 2: // the sink finds no subject
			payloads = append(payloads, fmt.Sprintf(`{"n":%d,"price":1,"region":"eu"}`, i))
		default:
			sent = append(sent, fmt.Sprintf(`{"n":%d,"price":1,"region":"eu","missing":"x"}`, i))
			payloads = append(payloads, sent[len(sent)-1])
		}
	}
	in.put(t, payloads[:n/2]...)
	c.awaitConnector("in", "takes some", func(a *account) bool { return a.Taken > 0 && assert.True(t, a.balances(), "%+v", a) })
	redisServer.kill()
	natsServer.kill()
	natsServer.restart(t)
	redisServer.restart(t)
	in.put(t, payloads[n/2:]...)
	source := c.awaitConnector("in", "has all", func(a *account) bool { return a.Taken == n && assert.True(t, a.balances(), "%+v", a) })
	assert.Equal(t, []int{n * 8 / 10, n / 10, n / 10}, []int{source.Published, source.HeldBack, source.Dead})
	sink := c.awaitConnector("out", "has sent all", func(a *account) bool { return a.Sent+a.Dead == source.Published && a.Pending+a.Lag == 0 })
	assert.True(t, sink.balances(), "%+v", sink)
	assert.Equal(t, []int{n * 8 / 10, n * 7 / 10, n / 10, 0}, []int{sink.Matched, sink.Sent, sink.Dead, sink.Lost})
	assert.Len(t, c.entries("d.to.eu"), source.Published)
	assert.Len(t, c.entries("d.dead"), source.Dead+sink.Dead)
	assertAll(t, false, sent, out.take(t, len(sent)))
}
