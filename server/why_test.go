package server_test

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// times are what differs from run to run in the sentences of WHY.
var times = regexp.MustCompile(`\b\d+s\b|client \d+`)

// why returns the sentences of WHY, without times and ids.
func (c *clerk) why(args ...string) []string {
	c.t.Helper()
	return sentencesOf(c.asks(append([]string{"PUBSUB", "WHY"}, args...)...))
}

func sentencesOf(answer map[string]any) (texts []string) {
	for _, text := range answer["why"].([]any) {
		texts = append(texts, times.ReplaceAllStringFunc(text.(string), func(s string) string {
			if strings.HasPrefix(s, "client") {
				return "client N"
			}
			return "Ns"
		}))
	}
	return texts
}

// row returns the only subscription of an answer.
func (c *clerk) row(args ...string) map[string]any {
	c.t.Helper()
	rows := c.asks(append([]string{"PUBSUB", "WHY"}, args...)...)["first"].([]any)
	require.Len(c.t, rows, 1)
	return rows[0].(map[string]any)
}

// each sends commands, and waits until all of them are applied.
func each(c *harness.Conn, commands ...string) {
	c.Send("%s\nPING\n", strings.Join(commands, "\n"))
	for line := ""; line != "+PONG" && line != "pong"; line = c.Line() {
	}
}

func TestWhyNothingArrives(t *testing.T) {
	const flowing = "nothing is missing from 1 subscription"
	for _, tt := range []struct {
		name     string
		sub, pub []string
		want     []string
	}{
		{"no subscription, and a publish", nil, []string{"PUB news hi"}, []string{
			"no subscription covers news", "the last message to it is #1, Ns ago, from client N (user default)",
		}},
		{"a subscription in another case", []string{"SUB News", "PSUB NEW*"}, []string{"PUB news hi"}, []string{
			"no subscription covers news", "the last message to it is #1, Ns ago, from client N (user default)",
			"pattern NEW* has 1 subscription: it differs in case, separators or blanks",
			"topic News has 1 subscription: it differs in case, separators or blanks",
		}},
		{"a publisher that mistypes", []string{"SUB news"}, []string{"PUB newz hi", "PUB other hi"}, []string{
			"1 subscription covers news", "no publish to it is known, as far as that is kept",
			"#1 was published to newz, which has no subscription: it differs in one letter",
			"client N (user default) by news: nothing was published to it since it subscribed",
		}},
		{"all is well", []string{"SUB news"}, []string{"PUB news hi"}, []string{
			"1 subscription covers news", "the last message to it is #1, Ns ago, from client N (user default)", flowing,
		}},
		{"a shard of that name", []string{"SSUBSCRIBE news"}, []string{"PUB news hi"}, []string{
			"1 subscription covers news", "the last message to it is #1, Ns ago, from client N (user default)",
			"client N (user default) by news: it is of a shard, which gets what SPUBLISH sends alone",
		}},
		{"a publish to the shard of that name", []string{"SUB news"}, []string{"SPUBLISH news hi"}, []string{
			"1 subscription covers news",
			"no PUBLISH to it is known; the last SPUBLISH is #1, Ns ago, from client N (user default), and reaches shards alone",
			"client N (user default) by news: nothing was published to it since it subscribed",
		}},
		{"a predicate that holds for nothing", []string{"CLIENT SETNAME ann", "SUB news WHERE n > 5"}, []string{`PUB news {"n":1}`, `PUB news {"n":2}`}, []string{
			"1 subscription covers news", "the last message to it is #2, Ns ago, from client N (user default)",
			"client N (ann, user default) by news WHERE n > 5: its predicate held back all of 2 messages, the last one Ns ago",
		}},
		{"a predicate on a field that is not there", []string{"SUB news WHERE m > 5"}, []string{`PUB news {"n":1}`}, []string{
			"1 subscription covers news", "the last message to it is #1, Ns ago, from client N (user default)",
			"client N (user default) by news WHERE m > 5: no message has the field that its predicate reads; 1 message held back",
		}},
		{"a predicate that held back the newest", []string{"SUB news WHERE n > 5"}, []string{`PUB news {"n":9}`, `PUB news {"n":1}`}, []string{
			"1 subscription covers news", "the last message to it is #2, Ns ago, from client N (user default)",
			"client N (user default) by news WHERE n > 5: its predicate held back #2, the newest; the last one that it let through is #1",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, server.Options{})
			sub, pub := s.Dial(t), s.Dial(t)
			each(sub, tt.sub...)
			each(pub, tt.pub...)
			c := newClerk(t, s)
			harness.Eventually(t, func() bool { return !strings.Contains(fmt.Sprint(c.why("news")), " wait for ") }, "the client reads all")
			assert.Equal(t, tt.want, c.why("news"))
		})
	}
}

func TestWhyNamesWhatEachSubscriptionGot(t *testing.T) {
	s := harness.Start(t, server.Options{})
	sub, pub, c := s.Dial(t), s.Dial(t), newClerk(t, s)
	each(sub, "CLIENT SETNAME ann", "SUB news WHERE n > 5")
	each(pub, `PUB news {"n":9}`, `PUB other 1`, `PUB news {"n":1}`, `PUB news {"m":1}`)
	harness.Eventually(t, func() bool { return c.row("news")["delivered"] == 1 }, "it is not delivered")
	row := c.row("news")
	balances(t, row)
	for name, want := range map[string]any{
		"name": "ann", "user": "default", "subscription": "news WHERE n > 5", "kind": "topic", "published": 3, "filtered": 2, "unreadable": 1,
		"last-published": 4, "last-matched": 1, "last-filtered": 4, "last-delivered": 1, "since-dropped": "_", "waits": "", "waits-for": "_",
	} {
		assert.Equal(t, want, row[name], name)
	}
	for _, name := range []string{"since-published", "since-matched", "since-filtered", "since-delivered"} {
		assert.IsType(t, 0, row[name], name)
	}

	// A client by its id, which a subscription or none belongs to.
	id := fmt.Sprint(row["id"])
	assert.Equal(t, row["id"], c.row("news", id)["id"])
	x := c.asks("PUBSUB", "WHY", "New", id)
	assert.Empty(t, x["first"])
	client := x["client"].(map[string]any)
	assert.Equal(t, []any{1, 0, 1, 0}, []any{client["subscriptions"], client["covering"], client["may-subscribe"], client["behind-multi"]})
	assert.Contains(t, c.why("New", id), "client N (ann, user default) has 1 subscription, and none covers New")
	each(sub, "UNSUB")
	sub.Send("MULTI\n")
	sub.Command("PUBLISH", "x", "y")
	sub.Command("PING")
	for line := ""; line != "+QUEUED"; line = sub.Line() {
	}
	assert.Equal(t, "+QUEUED", sub.Line())
	assert.Contains(t, c.why("news", id), "2 commands of it queued behind MULTI, until EXEC")
}

// A client that does not read, under each policy that keeps it.
func TestWhyTheClientIsSlow(t *testing.T) {
	for _, policy := range []string{"drop-newest", "drop-oldest"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, server.Options{SlowHard: 1 << 18})
			sub, pub, c := s.Dial(t), s.Dial(t), newClerk(t, s)
			require.NoError(t, sub.Conn.(*net.TCPConn).SetReadBuffer(64<<10))
			each(sub, "SLOW "+policy, "SUB news")
			pad := strings.Repeat("x", 20_000)
			var answer, row map[string]any
			for isFull := false; !isFull; { // all is seen in one answer: the kernel may take more before the next
				for range 20 {
					pub.Command("PUBLISH", "news", pad)
					pub.Line()
				}
				answer = c.asks("PUBSUB", "WHY", "news")
				row = answer["first"].([]any)[0].(map[string]any)
				waitsFor, waits := row["waits-for"].(map[string]any)
				isFull = row["dropped"] != 0 && row["queued"] != 0 && waits && waitsFor["backlog"] != 0
			}
			balances(t, row)
			assert.Equal(t, "client", row["waits"])
			assert.IsType(t, 0, row["since-dropped"])
			assert.Equal(t, "_", row["last-delivered"], "which one is not known while messages wait")
			assert.Regexp(t, `by news: \d+ bytes wait for the client to read, which has taken none for Ns$`, sentencesOf(answer)[2])
		})
	}
}

// A subscription that starts in the past, of a client that does not read.
func TestWhyAReplayComesFirst(t *testing.T) {
	s := harness.Start(t, server.Options{Recent: 64 << 20})
	sub, pub, c := s.Dial(t), s.Dial(t), newClerk(t, s)
	require.NoError(t, sub.Conn.(*net.TCPConn).SetReadBuffer(64<<10))
	pad := strings.Repeat("x", 20_000)
	const messages = 1000 // more than the kernel takes
	for range messages {
		pub.Command("PUBLISH", "news", pad)
		pub.Line()
	}
	sub.Send("SUB news FROM #1\n")
	harness.Eventually(t, func() bool {
		rows := c.asks("PUBSUB", "WHY", "news")["first"].([]any)
		if len(rows) == 0 {
			return false
		}
		row := rows[0].(map[string]any)
		at, ok := row["waits-for"].(map[string]any)
		return ok && row["waits"] == "replay" && at["position"] != "_" && at["target"] == messages && row["replayed"].(int) > 0
	}, "the replay is not seen")
	assert.Regexp(t, `messages of the past come first; it is at #\d+ of #1000$`, c.why("news")[2])
}

// The rows of others are for those that may list clients.
func TestWhyShowsAUserItsOwn(t *testing.T) {
	s := harness.Start(t, server.Options{})
	admin, ann, bob := s.Dial(t), s.Dial(t), s.Dial(t)
	each(admin, "ACL SETUSER ann on >pw &news* +@pubsub +ping", "ACL SETUSER bob on >pw &* +@pubsub +ping", "ACL SETUSER eve on >pw +ping")
	each(ann, "AUTH ann pw", "SUB news")
	each(bob, "AUTH bob pw", "SUB news", "PUB newz hi", "PUB secret hi")
	each(ann, "PUB secret hi")
	c := newClerk(t, s)
	c.Command("AUTH", "ann", "pw")
	assert.Equal(t, "+OK", c.next())
	x := c.asks("PUBSUB", "WHY", "news")
	assert.Equal(t, 2, x["subscriptions"])
	row := x["first"].([]any)[0].(map[string]any)
	assert.Len(t, x["first"], 1)
	assert.Equal(t, "ann", row["user"])
	assert.Contains(t, c.why("news"), "1 more belong to other users, or are left out")
	assert.NotContains(t, fmt.Sprint(c.why("secreT")), "secret ", "a name that the user may not subscribe to")
	assert.Contains(t, c.why("secret"), "rights refused 1 command on it, the last one of the user ann Ns ago")
	assert.NotContains(t, fmt.Sprint(c.why("secret")), "bob")
	bobs := ""
	for _, row := range newClerk(t, s).asks("PUBSUB", "WHY", "news")["first"].([]any) {
		if r := row.(map[string]any); r["user"] == "bob" {
			bobs = fmt.Sprint(r["id"])
		}
	}
	require.NotEmpty(t, bobs)
	c.Command("PUBSUB", "WHY", "news", bobs)
	assert.Equal(t, "-ERR no client has the id "+bobs+"; CLIENT LIST shows those that there are", c.next())

	eve := s.Dial(t)
	each(eve, "AUTH eve pw")
	eve.Send("WHY news\n")
	assert.Contains(t, eve.Line(), "NOPERM")
}

// An answer has at most 100 rows, whatever there is, and does not walk over the rest.
func TestWhyIsBounded(t *testing.T) {
	s := harness.Start(t, server.Options{})
	sub, c := s.Dial(t), newClerk(t, s)
	var globs []string
	for i := range 150 {
		globs = append(globs, "n*"+strings.Repeat("*", i))
	}
	each(sub, "PSUB "+strings.Join(globs, " "))
	x := c.asks("PUBSUB", "WHY", "news")
	assert.Equal(t, 150, x["subscriptions"])
	assert.Len(t, x["first"], 100)
	assert.Contains(t, fmt.Sprint(x["why"]), "50 more are left out; name a client: WHY topic client-id")
	hostile := strings.Repeat("n", 1<<20)
	c.Command("PUBSUB", "WHY", hostile)
	c.next()
	for _, name := range []string{"<b>\x1b[31m\r\n", "\x00", ""} {
		for _, text := range c.why(name) {
			assert.NotContains(t, text, "\x1b")
			assert.NotContains(t, text, "\n")
		}
	}
}
