package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// decode reads one RESP3 value: a number, a text, a []any or a map[string]any.
func decode(t *testing.T, r *bufio.Reader) any {
	t.Helper()
	header, err := r.ReadString('\n')
	require.NoError(t, err)
	n, _ := strconv.Atoi(strings.TrimSpace(header[1:])) // of a simple string it is not used
	switch header[0] {
	case ':':
		return n
	case '$':
		body := make([]byte, n+2)
		_, err := io.ReadFull(r, body)
		require.NoError(t, err)
		return string(body[:n])
	case '*':
		list := make([]any, n)
		for i := range list {
			list[i] = decode(t, r)
		}
		return list
	case '%':
		m := make(map[string]any)
		for range n {
			name := decode(t, r).(string)
			m[name] = decode(t, r)
		}
		return m
	}
	return strings.TrimRight(header, "\r\n")
}

// clerk is a RESP3 connection that asks for counts.
type clerk struct {
	*harness.Conn
	t *testing.T
}

func newClerk(t *testing.T, s *harness.Server) *clerk {
	t.Helper()
	c := s.Dial(t)
	c.Command("HELLO", "3")
	_, err := c.Frame()
	require.NoError(t, err)
	return &clerk{c, t}
}

// next reads an answer.
func (c *clerk) next() any {
	c.t.Helper()
	frame, err := c.Frame()
	require.NoError(c.t, err)
	return decode(c.t, bufio.NewReader(strings.NewReader(string(frame))))
}

func (c *clerk) asks(args ...string) map[string]any {
	c.t.Helper()
	c.Command(args...)
	return c.next().(map[string]any)
}

// rowsBy are the rows of a table, by their kind and what is in another column: "topic orders".
func rowsBy(column string, list any) map[string]map[string]any {
	rows := make(map[string]map[string]any)
	for _, row := range list.([]any) {
		m := row.(map[string]any)
		rows[fmt.Sprint(m["kind"], " ", m[column])] = m
	}
	return rows
}

// balances holds that each message to a subscription is in one place.
func balances(t *testing.T, row map[string]any) {
	t.Helper()
	sum := 0
	for _, column := range []string{"delivered", "filtered", "dropped", "undelivered", "queued"} {
		assert.GreaterOrEqual(t, row[column], 0, column)
		sum += row[column].(int)
	}
	assert.Equal(t, row["published"], sum, "%v", row)
	assert.LessOrEqual(t, row["unreadable"], row["filtered"])
}

// Names are held against a glob while everybody waits, so a question whose glob costs too much is refused.
func TestGlobsThatCostTooMuch(t *testing.T) {
	s := harness.Start(t, server.Options{})
	sub, ask := s.Dial(t), s.Dial(t)
	long := strings.Repeat("a", 4000)
	const names = 300
	for i := range names {
		name := fmt.Sprint(long, i)
		sub.Send("SUB %s\n", name)
		require.Equal(t, "OK SUB "+name, sub.Line())
	}
	const refusal = "ERR glob too expensive here: shorten it or avoid ? [ \\ after *"
	run := strings.Repeat("a", 2000)
	for _, glob := range []string{"*" + run + "?b*", "*" + run + "[b]*", "*" + run + `\b*`} {
		ask.Command("PUBSUB", "CHANNELS", glob)
		assert.Equal(t, "-"+refusal, ask.Line())
		ask.Command("PUBSUB", "SHARDCHANNELS", glob)
		assert.Equal(t, "*0", ask.Line(), "there are none")
		ask.Command("PUBSUB", "STATS", glob)
		assert.Equal(t, "-"+refusal, ask.Line())
		ask.Send("TOPICS %s\n", glob)
		assert.Equal(t, refusal, ask.Line())
	}
	// Bytes, or not many, or before the first star, or behind the last.
	for _, glob := range []string{"*" + run + "b", "*b*" + run, "*a?b", run + "?*b", "*" + run + "?b"} {
		ask.Command("PUBSUB", "CHANNELS", glob)
		assert.Equal(t, "*0", ask.Line())
	}
	ask.Send("TOPICS *%s*\n", run)
	assert.Equal(t, fmt.Sprint("OK TOPICS ", names), ask.Line())
}

func TestConfigGetOfGlobsThatCostTooMuch(t *testing.T) {
	c := harness.Start(t, server.Options{}).Dial(t)
	globs := func(n int, glob string) []string {
		return append([]string{"CONFIG", "GET"}, slices.Repeat([]string{glob}, n)...)
	}
	for _, glob := range []string{"*[" + strings.Repeat("_", 4000) + "]", "*" + strings.Repeat("_", 4000)} {
		c.Command(globs(1000, glob)...)
		assert.Equal(t, "-ERR globs too expensive together: send fewer or shorter ones", c.Line())
		c.Command(globs(10, glob)...)
		assert.Equal(t, "*0", c.Line())
	}
	c.Command(append(globs(1000, "*nosuch*?[x]*"), "SA?E")...)
	assert.Equal(t, []string{"*2", "$4", "save", "$0", ""}, []string{c.Line(), c.Line(), c.Line(), c.Line(), c.Line()})
}

// What is asked in one batch with the publishes is of that instant, and what is asked in one transaction is of one.
func TestCountsOfOneInstant(t *testing.T) {
	s := harness.Start(t, server.Options{})
	var subscribers []*harness.Conn
	for _, subscribe := range []string{
		harness.RESP("SUBSCRIBE", "orders") + harness.RESP("PSUBSCRIBE", "orders WHERE n % 2 == 0"),
		harness.RESP("HELLO", "3") + harness.RESP("PSUBSCRIBE", "ord*", "ord* WHERE n > 5 || m > 0"),
		"SUB orders WHERE n % 2 == 0\nPSUB ord* WHERE nosuch\n",
		"SUB other\nSUB orders WHERE has(n) && m\n",
	} {
		c := s.Dial(t)
		c.Send("%s", subscribe)
		for range 2 {
			_, err := c.Frame()
			require.NoError(t, err)
		}
		subscribers = append(subscribers, c)
	}
	_, err := subscribers[1].Frame() // HELLO was one more
	require.NoError(t, err)
	c := newClerk(t, s)
	c.Send("%s", pipelined("orders", 1, 10)+harness.RESP("PUBSUB", "STATS", "ord*")+pipelined("orders", 11, 20)+harness.RESP("PUBSUB", "WHO", "orders")+
		harness.RESP("MULTI")+harness.RESP("PUBSUB", "STATS")+harness.RESP("PUBSUB", "WHO", "orders")+harness.RESP("EXEC"))
	receivers := func(first, last int) (all int) {
		for n := first; n <= last; n++ {
			want := 2 + 2*(1-n%2)
			if n > 5 {
				want++
			}
			require.Equal(t, want, c.next())
			all += want
		}
		return all
	}
	queued := receivers(1, 10)
	stats := c.next().(map[string]any)
	assert.Equal(t, 10, stats["sequence"])
	assert.Equal(t, 3, stats["names"])
	busiest := rowsBy("name", stats["busiest"])
	settled := 0
	for _, name := range []string{"topic orders", "pattern orders", "pattern ord*"} {
		assert.Equal(t, 10, busiest[name]["published"])
		settled += busiest[name]["delivered"].(int) + busiest[name]["queued"].(int)
	}
	assert.Equal(t, queued, settled)
	for name, want := range map[string][3]int{ // subscribers, filtered, unreadable
		"topic orders": {3, 5 + 10, 10}, "pattern orders": {1, 5, 0}, "pattern ord*": {3, 5 + 10, 5 + 10}, // n > 5 || m > 0 has no m to read
	} {
		row := busiest[name]
		assert.Equal(t, want, [3]int{row["subscribers"].(int), row["filtered"].(int), row["unreadable"].(int)}, name)
	}

	receivers(11, 20)
	who := c.next().(map[string]any)
	assert.Equal(t, 7, who["subscriptions"])
	assert.Equal(t, "OK", strings.TrimPrefix(c.next().(string), "+"))
	assert.Equal(t, "+QUEUED", c.next())
	assert.Equal(t, "+QUEUED", c.next())
	both := c.next().([]any)
	busiest = rowsBy("name", both[0].(map[string]any)["busiest"])
	dialects := make(map[string]int)
	sums := map[string]map[string]int{"topic orders": {}, "pattern orders": {}, "pattern ord*": {}}
	for _, list := range []any{who["first"], both[1].(map[string]any)["first"]} {
		for _, row := range list.([]any) {
			m := row.(map[string]any)
			balances(t, m)
			assert.Equal(t, 20, m["published"])
			assert.Equal(t, "default", m["user"])
			dialects[m["dialect"].(string)]++
		}
	}
	for _, row := range both[1].(map[string]any)["first"].([]any) {
		m := row.(map[string]any)
		name, _, _ := strings.Cut(m["subscription"].(string), " WHERE ")
		for _, column := range []string{"delivered", "filtered", "unreadable", "dropped", "undelivered", "queued"} {
			sums[fmt.Sprint(m["kind"], " ", name)][column] += m[column].(int)
		}
	}
	assert.Equal(t, map[string]int{"RESP2": 4, "RESP3": 4, "lines": 6}, dialects)
	for name, sum := range sums {
		for _, column := range []string{"filtered", "unreadable", "dropped", "undelivered"} {
			assert.Equal(t, busiest[name][column], sum[column], "%s of %s", column, name)
		}
		// A message may be written between the two answers of the transaction, which does not change what both are of.
		assert.Equal(t, busiest[name]["delivered"].(int)+busiest[name]["queued"].(int), sum["delivered"]+sum["queued"])
	}
}

// Who does not read has a backlog, and loses by its policy what its predicate let through. Whatever becomes of a message,
// it is counted once; and a subscription that is made anew begins with nothing.
func TestCountsOfWhoDoesNotRead(t *testing.T) {
	for _, tt := range []struct{ name, greeting, subscribe, leave, subscription, dialect string }{
		{"lines", "SLOW drop-oldest\n", "SUB a WHERE n % 2 == 0\n", "UNSUB a\n", "topic a WHERE n % 2 == 0", "lines"},
		{"lines, newest", "SLOW drop-newest\n", "SUB a WHERE n % 2 == 0\n", "UNSUB a\n", "topic a WHERE n % 2 == 0", "lines"},
		{
			"RESP3", "HELLO 3\nCLIENT SLOW drop-oldest\n", harness.RESP("PSUBSCRIBE", "a WHERE n % 2 == 0"),
			harness.RESP("PUNSUBSCRIBE", "a WHERE n % 2 == 0"), "pattern a WHERE n % 2 == 0", "RESP3",
		},
		{"RESP2, without a predicate", "CLIENT SLOW drop-newest\n", harness.RESP("SUBSCRIBE", "a"), harness.RESP("UNSUBSCRIBE", "a"), "topic a", "RESP2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, server.Options{SlowHard: 1 << 18})
			sub, pub := s.Dial(t), s.Dial(t)
			require.NoError(t, sub.Conn.(*net.TCPConn).SetReadBuffer(64<<10))
			sub.Send("%s", tt.greeting+tt.subscribe)
			for range strings.Count(tt.greeting, "\n") + 1 {
				_, err := sub.Frame()
				require.NoError(t, err)
			}
			c := newClerk(t, s)
			only := func() map[string]any {
				t.Helper()
				rows := rowsBy("subscription", c.asks("PUBSUB", "WHO", "a")["first"])
				require.Len(t, rows, 1)
				row := rows[tt.subscription]
				require.NotNil(t, row)
				balances(t, row)
				assert.Equal(t, tt.dialect, row["dialect"])
				return row
			}
			published, told := 0, 0
			row := only()
			for ; row["dropped"] == 0 || row["queued"] == 0 || row["backlog"] == 0; row = only() {
				for range 20 {
					pub.Command("PUBLISH", "a", fmt.Sprintf(`{"n":%d,"pad":%q}`, published, strings.Repeat("x", 20_000)))
					n, err := strconv.Atoi(pub.Line()[1:])
					require.NoError(t, err)
					published++
					told += n
				}
			}
			assert.Equal(t, published, row["published"])
			assert.Equal(t, published-told, row["filtered"])
			stats := rowsBy("name", c.asks("PUBSUB", "STATS")["busiest"])[row["kind"].(string)+" a"]
			for _, column := range []string{"published", "filtered", "dropped"} {
				assert.Equal(t, row[column], stats[column], column)
			}

			came := 0
			for came < told-row["dropped"].(int) {
				frame, err := sub.Frame()
				require.NoError(t, err)
				if strings.Contains(string(frame), `"pad"`) {
					came++
				}
			}
			harness.Eventually(t, func() bool { return only()["queued"] == 0 }, "what has been read still counts as waiting")
			assert.Equal(t, came, only()["delivered"])
			sub.Send("%s", tt.leave+tt.subscribe)
			harness.Eventually(t, func() bool {
				row := c.asks("PUBSUB", "WHO", "a")["first"].([]any)
				return len(row) == 1 && row[0].(map[string]any)["published"] == 0
			}, "counts do not begin anew")
			row = only()
			for _, column := range []string{"delivered", "filtered", "dropped", "undelivered", "queued"} {
				assert.Zero(t, row[column], column)
			}
		})
	}
}

// Tables are made while everybody waits, so they have an end; what is left out is told.
func TestTablesAreBounded(t *testing.T) {
	s := harness.Start(t, server.Options{MaxPredicates: 2000})
	c, sub := newClerk(t, s), s.Dial(t)
	const names, more = 1500, 1100
	all, conditions := []string{"SUBSCRIBE"}, []string{"PSUBSCRIBE"}
	for i := range names {
		all = append(all, fmt.Sprintf("t%04d", i))
	}
	for i := range more {
		conditions = append(conditions, fmt.Sprintf("t0007 WHERE n > %d", i))
	}
	sub.Command(all...)
	sub.Command(conditions...)
	for range names + more {
		_, err := sub.Frame()
		require.NoError(t, err)
	}
	c.Send("%s", pipelined("t1400", 1, 3)+pipelined("t0007", 1, 2))
	for range 5 {
		c.next()
	}
	stats := c.asks("PUBSUB", "STATS")
	assert.Equal(t, names+1, stats["names"])
	busiest := stats["busiest"].([]any)
	require.Len(t, busiest, 1000)
	for i, want := range []string{"t1400", "t0007", "t0007", "t0000"} {
		assert.Equal(t, want, busiest[i].(map[string]any)["name"], "the busiest come first")
	}
	c.Send("TOPICS\n")
	assert.Equal(t, "OK TOPICS 1501", c.Line())
	for range 1 + 1000 {
		assert.True(t, strings.HasPrefix(c.Line(), "# "))
	}
	assert.Equal(t, "# and 501 more", c.Line())
	c.Send("TOPICS t140?\n")
	assert.Equal(t, "OK TOPICS 10", c.Line())
	for range 1 + 10 {
		c.Line()
	}
	who := c.asks("PUBSUB", "WHO", "t0007")
	assert.Equal(t, more+1, who["subscriptions"])
	assert.Len(t, who["first"], 1000)
	c.Send("WHO t0007\n")
	assert.Equal(t, "OK WHO 1101", c.Line())
	for range 1 + 1000 {
		c.Line()
	}
	assert.Equal(t, "# and 101 more", c.Line())
	c.Send("WHO t1400\n")
	assert.Equal(t, "OK WHO 1", c.Line())
	head, row := strings.Fields(c.Line()[1:]), strings.Fields(c.Line()[1:])
	assert.Equal(t, strings.Fields("id address user dialect age subscription kind published delivered filtered dropped queued backlog"), head)
	assert.Equal(t, []string{sub.LocalAddr().String(), "default", "RESP2"}, row[1:4])
	assert.Regexp(t, `^\d+s$`, row[4])
	assert.Equal(t, []string{"t1400", "topic", "3"}, row[5:8])
}
