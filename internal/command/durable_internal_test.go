package command

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A topic has two views: what is published is an entry, and what is added reaches subscribers. The reply comes before the message.
func TestADurableTopicHasTwoViews(t *testing.T) {
	_, pipes := newStreams(t, newTestStore(), 2)
	p, sub := pipes[0], pipes[1]
	assert.Equal(t, "+OK", p.do("CONFIG SET durable orders.*"))
	sub.sends("SUB orders.new\nPSUB orders.*\nSUB plain\n")
	sub.expect("OK SUB orders.new", "OK PSUB orders.*", "OK SUB plain")
	assert.Equal(t, ":2", p.do("PUBLISH orders.new one"))
	assert.Equal(t, ":1", p.do("PUBLISH plain two"))
	sub.expect("UPDATE orders.new one", "UPDATE orders.new one", "UPDATE plain two")
	assert.Equal(t, "[[1000-0 [message one]]]", p.do("XRANGE orders.new - +"))
	assert.Equal(t, ":0", p.do("XLEN plain"), "it is no durable topic")
	assert.Equal(t, "1000-1", p.do("XADD orders.new * price 120 region eu"))
	assert.Equal(t, "1000-2", p.do("XADD orders.new * region eu message three"))
	assert.Equal(t, "5-1", p.do("XADD plain 5-1 message four"))
	object := `UPDATE orders.new {"price":120,"region":"eu"}`
	sub.expect(object, object, "UPDATE orders.new three", "UPDATE orders.new three")
	sub.fence()
}

// fence waits until all that was sent before is answered, and checks that nothing else came.
func (p *pipe) fence() {
	p.t.Helper()
	p.sends("ECHO fence\n")
	p.expect("$5", "fence")
}

func (p *pipe) expect(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		require.Equal(p.t, line, strings.TrimRight(p.line(), "\r\n"))
	}
}

// Only topics make durable, not shards, and runs stay in order with all else.
func TestWhatIsAppended(t *testing.T) {
	_, pipes := newStreams(t, newTestStore(), 1)
	p := pipes[0]
	p.do("CONFIG SET durable a")
	assert.Equal(t, ":0", p.do("SPUBLISH a no"))
	p.sends("PUB a 1\nPUB a 2\nPUB b 3\nPUB a 4\n")
	p.expect("OK PUB a", "OK PUB a", "OK PUB b", "OK PUB a")
	p.sends("MULTI\r\nPUBLISH a 5\r\nXADD a * message 6\r\nPUBLISH a 7\r\nXLEN a\r\nEXEC\r\n")
	p.expect("+OK", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED", "*4", ":0")
	p.reply()
	p.expect(":0", ":6")
	var got []string
	for _, word := range strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(p.do("XRANGE a - +"))) {
		if len(word) == 1 {
			got = append(got, word)
		}
	}
	assert.Equal(t, []string{"1", "2", "4", "5", "6", "7"}, got)
	assert.Equal(t, "+OK", p.do("CONFIG SET durable b"))
	p.do("PUBLISH a 8")
	p.do("PUBLISH b 9")
	assert.Equal(t, ":6", p.do("XLEN a"))
	assert.Equal(t, ":1", p.do("XLEN b"))
}

// Predicates hold for entries as for messages: alone, in a transaction, and with headers.
func TestPredicatesOfDurableTopics(t *testing.T) {
	_, pipes := newStreams(t, newTestStore(), 2)
	p, sub := pipes[0], pipes[1]
	p.do("CONFIG SET durable *")
	sub.sends("SUB a WHERE price > 100\nPSUB a* WHERE header(\"region\") == \"eu\"\n")
	sub.expect("OK SUB a WHERE price > 100", `OK PSUB a* WHERE header("region") == "eu"`)
	p.do("XADD a 1-1 price 120 region eu")
	p.do("XADD a 1-2 price 20")
	p.do("XADD a 1-3 region eu message x")
	p.do("XADD a 1-3 price 121") // its id is refused
	p.do("XADD a NOMKSTREAM")    // wrong
	p.sends("MULTI\r\nXADD a 2-1 price 122\r\nPUBLISH a '{\"price\":123}'\r\nEXEC\r\n")
	for range 4 {
		p.reply()
	}
	sub.expect(`UPDATE a {"price":120,"region":"eu"}`, "UPDATE a x", `UPDATE a {"price":122}`, `UPDATE a {"price":123}`)
	sub.fence()
}

// What cannot be appended is refused, each publish of a run by itself, and plain topics go on.
func TestPublishesThatAreRefused(t *testing.T) {
	store := newTestStore()
	_, pipes := newStreams(t, store, 2)
	p, sub := pipes[0], pipes[1]
	p.do("CONFIG SET durable a*")
	sub.sends("PSUB *\n")
	sub.expect("OK PSUB *")
	p.do("SELECT 1")
	assert.Equal(t, "-ERR streams are in database 0 only; type: SELECT 0", p.do("PUBLISH a 1"))
	p.do("SELECT 0")
	assert.Equal(t, "18446744073709551615-18446744073709551614", p.do("XADD ab 18446744073709551615-18446744073709551614 message x"))
	p.sends("*3\r\n$7\r\nPUBLISH\r\n$2\r\nab\r\n$1\r\n1\r\n*3\r\n$7\r\nPUBLISH\r\n$2\r\nab\r\n$1\r\n2\r\n")
	full := "-ERR The stream has exhausted the last possible ID, unable to add more items"
	p.expect(":1", full)
	failure := errors.New("the disk is full")
	store.failed.Store(&failure)
	p.sends("PUB a 1\nPUB b 2\nPUB a 3\n")
	p.expect("MISCONF Errors writing to the AOF file: the disk is full", "OK PUB b", "MISCONF Errors writing to the AOF file: the disk is full")
	p.sends("MULTI\r\nPUBLISH a 1\r\nPUBLISH b 3\r\nEXEC\r\n")
	p.expect("+OK", "+QUEUED", "+QUEUED", "*2", "-MISCONF Errors writing to the AOF file: the disk is full", ":1")
	sub.expect("UPDATE ab x", "UPDATE ab 1", "UPDATE b 2", "UPDATE b 3")
	sub.fence()
	assert.Equal(t, ":0", p.do("EXISTS a"))
}

// The reply to a publish, and its deliveries, wait for the log, and so does what is behind them. Other connections go on.
func TestWhatADurablePublishWaitsFor(t *testing.T) {
	store := newTestStore()
	store.barriers = true
	s, pipes := newStreams(t, store, 4)
	p, sub, other, add := pipes[0], pipes[1], pipes[2], pipes[3]
	p.sends("CONFIG SET durable a*\r\n")
	p.applied()
	s.Synced(store.Last(), store.Last(), nil)
	p.expect("+OK")
	sub.sends("PSUB *\n")
	sub.expect("OK PSUB *")
	p.sends("PUBLISH a 1\r\n")
	p.applied()
	add.sends("XADD ab * message 2\r\n")
	add.applied()
	other.sends("SUB b\nPUB b 3\n")
	other.expect("OK SUB b", "OK PUB b", "UPDATE b 3")
	assert.True(t, p.isHeld() && sub.isHeld() && add.isHeld())
	assert.False(t, other.isHeld())
	s.Synced(store.Last(), store.Last(), nil)
	p.expect(":1")
	assert.Equal(t, "1000-0", add.reply())
	sub.expect("UPDATE a 1", "UPDATE ab 2", "UPDATE b 3")
}

// applied waits until the core has applied what was sent before, by another connection. The reply may wait for the log.
func (p *pipe) applied() {
	p.t.Helper()
	eventually(p.t, p.isHeld, "it is applied")
}

// isHeld reports whether frames of the connection wait for the log.
func (p *pipe) isHeld() bool {
	b := &p.service.barriers
	b.mu.Lock()
	defer b.mu.Unlock()
	x := p.streamClient.Load()
	return x != nil && x.barrier > 0
}

// Without durable topics nothing is recorded, and with some, only what is published to them.
func TestPlainTopicsTouchNoLog(t *testing.T) {
	store := newTestStore()
	_, pipes := newStreams(t, store, 1)
	p := pipes[0]
	for range 3 {
		p.do("PUBLISH a 1")
	}
	assert.Empty(t, store.all())
	p.do("CONFIG SET durable b")
	n := len(store.all())
	for range 3 {
		p.do("PUBLISH a 1")
	}
	assert.Len(t, store.all(), n)
	p.do("PUBLISH b 1")
	assert.Len(t, store.all(), n+1)
}

// On the name of a durable topic, adding and reading need the rights to the topic too. A publish needs those to the topic alone.
func TestRightsToDurableTopics(t *testing.T) {
	_, pipes := newStreams(t, newTestStore(), 2)
	p, user := pipes[0], pipes[1]
	p.do("CONFIG SET durable a*")
	p.do("XGROUP CREATE a g $ MKSTREAM")
	p.do("XADD b 1-1 message x")
	for _, test := range []struct{ rules, may, mayNot string }{
		{"~* &b", "XADD b * message x;XRANGE b - +;XLEN a;XDEL a 1-1", "XADD a * message x;XRANGE a - +;PUBLISH a x;READ a FROM 0"},
		{"~* &b %W&a", "XADD a * message x;PUBLISH a x", "XRANGE a - +;XREVRANGE a + -;XREAD STREAMS a 0;READ a FROM 0"},
		{"~* &b %R&a", "XRANGE a - +;XREAD STREAMS a 0;READ a FROM 0", "XADD a * message x;PUBLISH a x"},
		{"~b &a", "PUBLISH a x", "XADD a * message x;XRANGE a - +;XREADGROUP GROUP g c STREAMS a >"},
		{"~* &a", "PUBLISH a x;XADD a * message x;XRANGE a - +;XREADGROUP GROUP g c STREAMS a >;XCLAIM a g c 0 1-1", "PUBLISH ab x"},
	} {
		require.Equal(t, "+OK", p.do("ACL SETUSER u reset on nopass +@all %s", test.rules))
		require.Equal(t, "+OK", user.do("AUTH u x"))
		for i, list := range []string{test.may, test.mayNot} {
			for _, command := range strings.Split(list, ";") {
				refused := strings.HasPrefix(user.resp("%s", command), "-NOPERM")
				assert.Equal(t, i == 1, refused, "%s: %s", test.rules, command)
				dry := p.do("ACL DRYRUN u %s", command)
				assert.Equal(t, i == 1, dry != "+OK", "%s: DRYRUN %s: %s", test.rules, command, dry)
			}
		}
	}
}

// While too much of the log is unsynced, publishes to durable topics wait at their reader, and plain topics go on.
func TestDurablePublishesWaitAtTheirReader(t *testing.T) {
	store := newTestStore()
	s, pipes := newStreams(t, store, 2)
	p, other := pipes[0], pipes[1]
	p.do("CONFIG SET durable a")
	records := len(store.all())
	store.unsynced.Store(64<<20 + 1)
	p.sends("PUBLISH a 1\r\n")
	assert.Equal(t, "OK PUB b", other.do("PUB b 1"))
	assert.Equal(t, "[]", other.do("XRANGE a - +"))
	assert.Len(t, store.all(), records)
	store.unsynced.Store(64 << 20)
	s.Synced(store.Last(), store.Last(), nil)
	assert.Equal(t, ":0", p.reply())
	assert.Equal(t, "[[1000-0 [message 1]]]", other.do("XRANGE a - +"))
}
