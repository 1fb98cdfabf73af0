package server_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/protocol"
	"github.com/conchmq/conch/server"
)

// confirmed is how RESP2 confirms a pattern.
func confirmed(name string, count int) string {
	return fmt.Sprintf("*3\r\n$10\r\npsubscribe\r\n$%d\r\n%s\r\n:%d\r\n", len(name), name, count)
}

// The connection stays, and so does what it holds.
func TestTooManyPredicates(t *testing.T) {
	s := harness.Start(t, server.Options{MaxPredicates: 3})
	const refusal = "ERR more than 3 predicates on one connection (--max-predicates)"
	t.Run("in lines", func(t *testing.T) {
		c := s.Dial(t)
		c.Send("SUB a b c WHERE x\nPSUB d* WHERE x\nSUB a b c d* WHERE x\n")
		c.Expect("OK SUB a WHERE x\nOK SUB b WHERE x\nOK SUB c WHERE x\n" + refusal + "\n" + refusal + "\n")
		c.Send("SUB a b c WHERE x\n")
		c.Expect("OK SUB a WHERE x\nOK SUB b WHERE x\nOK SUB c WHERE x\n")
		c.Send("SUB d e\nPSUB a*\n")
		c.Expect("OK SUB d\nOK SUB e\nOK PSUB a*\n")
		c.Send("UNSUB a\nPSUB d* WHERE x\n")
		c.Expect("OK UNSUB a\nOK PSUB d* WHERE x\n")
	})
	t.Run("over RESP, all names of a command or none", func(t *testing.T) {
		c := s.Dial(t)
		c.Command("PSUBSCRIBE", "a", "b WHERE x", "c WHERE x", "c WHERE y", "c WHERE z")
		c.Expect("-" + refusal + "\r\n")
		c.Command("PUNSUBSCRIBE")
		c.Expect("*3\r\n$12\r\npunsubscribe\r\n$-1\r\n:0\r\n")
	})
	t.Run("a library that subscribes anew to all it knows gets through", func(t *testing.T) {
		c := s.Dial(t)
		for range 2 {
			c.Command("PSUBSCRIBE", "a", "a WHERE x", "a WHERE y", "b WHERE x")
			c.Expect(confirmed("a", 1))
			for range 3 {
				_, err := c.Frame()
				require.NoError(t, err)
			}
			c.Command("PUNSUBSCRIBE", "a")
			_, err := c.Frame()
			require.NoError(t, err)
			c.Command("RESET")
			c.Expect("+RESET\r\n")
		}
	})
	harness.Eventually(t, func() bool { return s.Info(t, "connected_clients") == 1 }, "connections stay behind")
	assert.Zero(t, s.Info(t, "pubsub_predicates"))
}

func TestPredicateLimits(t *testing.T) {
	text := func(n int) string { return `x=="` + strings.Repeat("y", n-5) + `"` }
	t.Run("its length", func(t *testing.T) {
		c := harness.Start(t, server.Options{MaxPredicate: 10}).Dial(t)
		c.Send("SUB a WHERE %s\nSUB a WHERE %s\n", text(10), text(11))
		c.Expect("OK SUB a WHERE " + text(10) + "\n")
		c.Expect("ERR predicate of 11 bytes is longer than 10 (--max-predicate)\n")
		c.Send("UNSUB a WHERE %s\nUNSUB a WHERE %s\n", text(10), text(11))
		c.Expect("OK UNSUB a WHERE " + text(10) + "\nOK UNSUB a WHERE " + text(11) + "\n") // there is none such, as for any other
	})
	t.Run("the topic in front of it", func(t *testing.T) {
		c := harness.Start(t, server.Options{Limits: protocol.Limits{Topic: 8}}).Dial(t)
		const long = "ERR topic of 9 bytes is longer than 8 (--max-topic)"
		c.Send("SUB 12345678 WHERE price > 1\nSUB 123456789 WHERE price > 1\nPUB a%sx hi\n", strings.Repeat("-", 7))
		c.Expect("OK SUB 12345678 WHERE price > 1\n" + long + "\n" + long + "\n")
		c.Command("PUBLISH", "a WHERE price > 1", "hi") // a topic like any other, and too long for one
		c.Expect("-ERR topic of 17 bytes is longer than 8 (--max-topic)\r\n")
		c.Command("PUBSUB", "CHANNELS", "a WHERE price > 1")
		c.Expect("-ERR topic of 17 bytes is longer than 8 (--max-topic)\r\n")
		c.Command("TOPICS", "[ WHERE ]*a*a*a")
		c.Expect("-ERR topic of 15 bytes is longer than 8 (--max-topic)\r\n")
	})
	t.Run("messages that are looked into", func(t *testing.T) {
		s := harness.Start(t, server.Options{MaxPredicatePayload: 20})
		c, pub := s.Dial(t), s.Dial(t)
		c.Send("SUB a WHERE x == 1\n")
		c.Line()
		pub.Command("PUBLISH", "a", `{"x":1,"pad":"1234"}`)
		pub.Expect(":1\r\n")
		pub.Command("PUBLISH", "a", `{"x":1,"pad":"12345"}`)
		pub.Expect(":0\r\n")
		c.Expect("UPDATE a {\"x\":1,\"pad\":\"1234\"}\n")
		assert.Equal(t, 1, s.Info(t, "messages_unreadable"))
	})
}

// One command says a predicate once and has it spelt out for each name, so what is made of it has an end of its own.
func TestOneCommandCannotBeBlownUp(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := s.Dial(t)
	names := strings.Split(strings.TrimSpace(strings.Repeat("a ", 100_000)), " ")
	c.Command(append(append([]string{"SUB"}, names...), "WHERE", `x=="`+strings.Repeat("y", 1<<20)+`"`)...)
	assert.Regexp(t, `^-ERR 100000 names are too many for a predicate of \d+ bytes: name fewer`, c.Line())
	c.Send("SUB %s WHERE x == %q\n", strings.Join(names[:30_000], " "), strings.Repeat("y", 4000))
	assert.Regexp(t, `^ERR 30000 names are too many for a predicate of \d+ bytes: name fewer`, c.Line())
	many := []string{"PSUBSCRIBE"}
	for i := range 100_000 {
		many = append(many, fmt.Sprintf("a WHERE x > %d", i))
	}
	c.Command(many...)
	c.Expect("-ERR more than 1000 predicates on one connection (--max-predicates)\r\n")
	c.Fence()
	assert.Zero(t, s.Info(t, "pubsub_predicates"))
}

// Hostile expressions are refused where they are read, with one line, and nothing else happens.
func TestHostileExpressions(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c, lines := s.Dial(t), s.Dial(t)
	for name, expression := range map[string]string{
		"64 KiB":            "price > " + strings.Repeat("1", 64<<10),
		"1000 brackets":     strings.Repeat("(", 1000) + "x" + strings.Repeat(")", 1000),
		"1000 square ones":  "x" + strings.Repeat("[", 1000),
		"1000 negations":    strings.Repeat("!", 1000) + "x",
		"1000 parts":        "x" + strings.Repeat("&&x", 1000),
		"a closure":         "all(items, {# > 1})",
		"a regexp":          `name matches "(a+)+$"`,
		"invalid UTF-8":     "x == \"\xff\xfe\"",
		"a null":            "x == \"\x00\"",
		"a forged answer":   "x == \r\n+OK",
		"a range":           "x in 1..1000000000",
		"a huge number":     "x > 1e999",
		"a huge integer":    "x > " + strings.Repeat("9", 40),
		"nothing":           " ",
		"an open string":    `x == "`,
		"another WHERE":     "x > 1 WHERE y",
		"a variable":        "let x = 1; x > 0",
		"a pipe":            "x | len() > 1",
		"a power":           "9 ** 9 ** 9 > x",
		"a thousand commas": "x in [" + strings.Repeat("1,", 1000) + "1]",
	} {
		t.Run(name, func(t *testing.T) {
			c.Command("PSUBSCRIBE", "a WHERE "+expression)
			answer := c.Line()
			if len(expression) > 4<<10 {
				assert.Equal(t, fmt.Sprintf("-ERR predicate of %d bytes is longer than 4096 (--max-predicate)", len(expression)), answer)
				return
			}
			assert.Regexp(t, "^-ERR wrong predicate, column [0-9]+: [ -~]+$", answer)
			if strings.ContainsAny(expression, "\r\n") || expression == " " {
				return // not one line
			}
			lines.Send("SUB a WHERE %s\n", expression)
			assert.Regexp(t, "^ERR wrong predicate, column [0-9]+: [ -~]+$", lines.Line())
			shown, caret := lines.Line(), lines.Line()
			assert.Regexp(t, `^# .{0,70}$`, shown)
			assert.Regexp(t, `^# {1,71}\^$`, caret)
		})
	}
	c.Fence()
	lines.Fence()
	assert.Zero(t, s.Info(t, "pubsub_predicates"))
	assert.Zero(t, s.Info(t, "pubsub_clients"))
}

// The caret stands below the mistake in a terminal, where some characters take two cells and some none.
func TestTheCaretStandsBelowTheMistake(t *testing.T) {
	c := harness.Start(t, server.Options{}).Dial(t)
	tests := []struct {
		what, expression, shown string
		cells                   int // before the caret
	}{
		{"two cells each", `name == "日本語" && price >> 5`, `name == "日本語" && price >> 5`, 27},
		{"accents of their own", "name == \"e\u0301\" && price >> 5", "name == \"e\u0301\" && price >> 5", 22},
		{"one emoji of several", `name == "👩‍👩‍👧" && price >> 5`, `name == "👩‍👩‍👧" && price >> 5`, 23},
		{"behind what does not fit", `x == "` + strings.Repeat("語", 60) + `" > > ` + strings.Repeat("y", 60), strings.Repeat("語", 18) + `" > > ` + strings.Repeat("y", 28), 40},
		{"before what does not fit", `x > > "` + strings.Repeat("語", 60) + `"`, `x > > "` + strings.Repeat("語", 31), 4},
	}
	for _, test := range tests {
		t.Run(test.what, func(t *testing.T) {
			c.Send("SUB o WHERE %s\n", test.expression)
			assert.Regexp(t, "^ERR wrong predicate", c.Line())
			assert.Equal(t, "# "+test.shown, c.Line())
			assert.Equal(t, "# "+strings.Repeat(" ", test.cells)+"^", c.Line())
		})
	}
}

// Whatever is published, somebody else is served meanwhile, and nothing of it matches.
func TestHostilePayloads(t *testing.T) {
	s := harness.Start(t, server.Options{MaxPredicatePayload: 16 << 20})
	sub, pub, other := s.Dial(t), s.Dial(t), s.Dial(t)
	for _, expression := range []string{`a.b.c > 1`, `a[0][0][0] == 1`, `a == 1`, `a != 1`, `x in a`, `1 in a`, `a contains "x"`, `payload startsWith "hi"`} {
		sub.Send("SUB t WHERE %s\n", expression)
		sub.Line()
	}
	const large = 10 << 20
	payloads := map[string]string{
		"brackets":         strings.Repeat("[", large),
		"objects":          strings.Repeat(`{"a":`, large/5),
		"arrays inside":    `{"a":` + strings.Repeat("[", large),
		"closed again":     `{"a":` + strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20) + "}",
		"a wide array":     `{"a":[` + strings.Repeat("[],", 1<<19) + "[]]}",
		"one string":       `{"b":"` + strings.Repeat("x", 1<<20) + `"}`,
		"an open string":   `{"a":"` + strings.Repeat(`\"`, 1<<20),
		"surrogates":       `{"b":"` + strings.Repeat(`\ud800`, 1<<17) + `"}`,
		"invalid UTF-8":    "{\"a\":2,\"b\":\"\xff\xfe\"}",
		"NaN":              `{"a":NaN}`,
		"infinity":         `{"a":Infinity}`,
		"a huge number":    `{"a":1e999}`,
		"a huge integer":   `{"a":` + strings.Repeat("9", 100_000) + `}`,
		"a tiny number":    `{"a":[1e-999999999999]}`,
		"two values":       `{"a":2}{"a":2}`,
		"a trailing comma": `{"a":2,}`,
		"nothing":          "",
		"only an array":    `[{"a":2}]`,
	}
	for name, payload := range payloads {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.WriteString(pub, strings.Repeat(harness.RESP("PUBLISH", "t", payload), 2)) // what fails here fails below
		}()
		for range 20 {
			other.Fence()
		}
		<-done
		for range 2 {
			assert.Equal(t, ":0", pub.Line(), name)
		}
	}
	pub.Command("PUBLISH", "t", "hi") // the end, and proof that it was listened to
	pub.Expect(":1\r\n")
	sub.Expect("UPDATE t hi\n")
}

// A right is one to topics: what stands left of WHERE is judged, in each dialect, and when rights shrink.
func TestRightsToWhatStandsLeftOfWhere(t *testing.T) {
	s := harness.Start(t, server.Options{ACLFile: rules(t,
		"user default on nopass ~* &* +@all",
		"user shop on >pw resetchannels &orders.* +@pubsub +ping",
		"user mute on >pw &* +ping",
		"user watch on >pw resetchannels &a +pubsub|stats +ping",
		"user names on >pw resetchannels &a +pubsub|who +ping",
	)})
	const noTopic, toLines = "NOPERM No permissions to access a channel", "; to change the user, type: AUTH user password"
	shop := s.Dial(t)
	become(shop, "shop", "pw")
	t.Run("over RESP", func(t *testing.T) {
		shop.Command("PSUBSCRIBE", "orders.* WHERE price > 1")
		shop.Expect(confirmed("orders.* WHERE price > 1", 1))
		shop.Command("PSUBSCRIBE", "orders.eu.* WHERE price > 1")
		shop.Expect(confirmed("orders.eu.* WHERE price > 1", 2))
		for _, name := range []string{"users.* WHERE price > 1", "* WHERE price > 1", "orders* WHERE topic == \"orders.\"", "o WHERE orders.x"} {
			shop.Command("PSUBSCRIBE", name)
			shop.Expect("-" + noTopic + "\r\n")
			shop.Command("PSUBSCRIBE", "orders.*", name)
			shop.Expect("-" + noTopic + "\r\n")
		}
		shop.Command("PUNSUBSCRIBE")
		for range 2 {
			_, err := shop.Frame()
			require.NoError(t, err)
		}
	})
	t.Run("in lines, and as verbs", func(*testing.T) {
		shop.Send("SUB orders.eu WHERE x\nPSUB orders.* WHERE x\nSUB orders.eu users WHERE x\nPSUB * WHERE x\n")
		shop.Expect("OK SUB orders.eu WHERE x\nOK PSUB orders.* WHERE x\n" + noTopic + toLines + "\n" + noTopic + toLines + "\n")
		shop.Command("SUB", "orders.uk", "WHERE", "x", ">", "1")
		shop.Expect("+OK SUB orders.uk WHERE x > 1\r\n")
		shop.Command("SUB", "users", "WHERE", "x", ">", "1")
		shop.Expect("-" + noTopic + "\r\n")
		shop.Command("RESET")
		shop.Expect("+RESET\r\n")
	})
	t.Run("without the right to the command", func(t *testing.T) {
		c := s.Dial(t)
		become(c, "mute", "pw")
		c.Command("PSUBSCRIBE", "orders.* WHERE x")
		c.Expect("-NOPERM User mute has no permissions to run the 'psubscribe' command\r\n")
	})
	t.Run("TOPICS and WHO, which shows addresses and so is not among +@pubsub", func(t *testing.T) {
		for user, may := range map[string][2]bool{"watch": {true, false}, "names": {false, true}, "shop": {true, false}, "mute": {false, false}} {
			c := s.Dial(t)
			become(c, user, "pw")
			for i, line := range []string{"TOPICS nosuch", "WHO nosuch"} {
				verb, command := strings.Fields(line)[0], []string{"STATS", "WHO"}[i] // a verb is judged as the command it stands for
				want, resp := "OK "+verb+" 0", "*"
				if !may[i] {
					resp = fmt.Sprintf("-NOPERM User %s has no permissions to run the 'pubsub|%s' command", user, strings.ToLower(command))
					want = resp[1:] + toLines
				}
				c.Command("PUBSUB", command, "nosuch")
				got, err := c.Frame()
				require.NoError(t, err)
				assert.Truef(t, strings.HasPrefix(string(got), resp), "%s %s: %q", user, line, got)
				c.Send("%s\n", line)
				assert.Equal(t, want, c.Line(), user)
			}
		}
	})
	t.Run("ACL DRYRUN", func(t *testing.T) {
		c := s.Dial(t)
		for _, tt := range []struct{ command, want string }{
			{"PSUBSCRIBE|orders.* WHERE price > 1", "+OK"},
			{"PSUBSCRIBE|users.* WHERE price > 1", "User shop has no permissions to access the 'users.*' channel"},
			{"SUB|orders.eu|WHERE|price|>|1", "+OK"},
			{"SUB|users|WHERE|price|>|1", "User shop has no permissions to access the 'users' channel"},
			{"PSUB|orders.* WHERE price > 1", "+OK"},
		} {
			c.Command(append([]string{"ACL", "DRYRUN", "shop"}, strings.Split(tt.command, "|")...)...)
			got, err := c.Frame()
			require.NoError(t, err)
			assert.Contains(t, string(got), tt.want, tt.command)
		}
	})
	t.Run("when rights shrink", func(t *testing.T) {
		root := s.Dial(t)
		keeps, goes, typed := s.Dial(t), s.Dial(t), s.Dial(t)
		for _, c := range []*harness.Conn{keeps, goes, typed} {
			become(c, "shop", "pw")
		}
		keeps.Command("PSUBSCRIBE", "orders.eu.* WHERE x > 1")
		keeps.Expect(confirmed("orders.eu.* WHERE x > 1", 1))
		goes.Command("PSUBSCRIBE", "orders.us.* WHERE x > 1")
		goes.Expect(confirmed("orders.us.* WHERE x > 1", 1))
		typed.Send("SUB orders.us WHERE x > 1\n")
		typed.Expect("OK SUB orders.us WHERE x > 1\n")
		root.Command("ACL", "SETUSER", "shop", "resetchannels", "&orders.eu.*")
		root.Expect("+OK\r\n")
		goes.ExpectEnd()
		assert.Contains(t, typed.Line(), "permission for a subscribed topic revoked")
		typed.ExpectEnd()
		root.Command("PUBLISH", "orders.us.1", `{"x":2}`)
		root.Expect(":0\r\n")
		root.Command("PUBLISH", "orders.eu.1", `{"x":2}`)
		root.Expect(":1\r\n")
		assert.Equal(t, 1, s.Info(t, "pubsub_predicates"))
	})
}
