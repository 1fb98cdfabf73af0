package server_test

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// ask sends a command and returns the body of a bulk or verbatim answer.
func ask(t *testing.T, c *harness.Conn, args ...string) string {
	t.Helper()
	c.Command(args...)
	frame, err := c.Frame()
	require.NoError(t, err)
	_, body, ok := strings.Cut(string(frame), "\r\n")
	require.True(t, ok)
	return strings.TrimPrefix(strings.TrimSuffix(body, "\r\n"), "txt:")
}

func id(t *testing.T, c *harness.Conn) string {
	t.Helper()
	c.Command("CLIENT", "ID")
	return strings.TrimPrefix(c.Line(), ":")
}

// The fields of Redis 7.2 in its order; what reads CLIENT LIST reads this.
const listFields = "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem rbs rbp obl " +
	"oll omem tot-mem events cmd user redir resp lib-name lib-ver"

func TestClientList(t *testing.T) {
	s := harness.Start(t, server.Options{})
	a, b := s.Dial(t), s.Dial(t)
	a.Command("CLIENT", "SETNAME", "ann")
	a.Expect("+OK\r\n")
	a.Command("CLIENT", "SETINFO", "LIB-NAME", "lib")
	a.Expect("+OK\r\n")
	a.Command("SELECT", "3")
	a.Expect("+OK\r\n")
	a.Send("SUB x\n")
	a.Expect("OK SUB x\n")
	a.Command("SUBSCRIBE", "a")
	a.Expect("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
	harness.Eventually(t, func() bool { // what has been read may still be on its way into the count
		first, _, _ := strings.Cut(ask(t, b, "CLIENT", "LIST"), "\n")
		return strings.Contains(first, " omem=0 ")
	}, "what it has read still counts as waiting")
	lines := strings.Split(strings.TrimSuffix(ask(t, b, "CLIENT", "LIST"), "\n"), "\n")
	require.Len(t, lines, 2)
	var names []string
	fields := make(map[string]string)
	for field := range strings.SplitSeq(lines[0], " ") {
		name, value, ok := strings.Cut(field, "=")
		require.True(t, ok, field)
		names, fields[name] = append(names, name), value
	}
	assert.Equal(t, listFields+" line-subs slow matched delivered dropped undelivered replayed", strings.Join(names, " "))
	for name, want := range map[string]string{"name": "ann", "lib-name": "lib", "db": "3", "sub": "1", "psub": "0", "ssub": "0",
		"flags": "P", "multi": "-1", "cmd": "subscribe", "user": "default", "redir": "-1", "resp": "2", "line-subs": "1", "slow": "disconnect",
		"addr": a.LocalAddr().String(), "laddr": s.Addr} {
		assert.Equal(t, want, fields[name], name)
	}
	assert.NotEqual(t, "-1", fields["fd"])
	assert.Contains(t, lines[1], "cmd=client|list")
	assert.Contains(t, lines[0], " qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 ", "it is idle")
	assert.Contains(t, lines[1], " qbuf=26 qbuf-free=16358 argv-mem=10 multi-mem=0 ", "as Redis' own tests want it")
	idle, err := strconv.Atoi(fields["tot-mem"])
	require.NoError(t, err)
	assert.Greater(t, idle, 4<<10, "an idle connection costs something")
	assert.Equal(t, lines[0]+"\n", strings.SplitAfter(ask(t, b, "CLIENT", "LIST", "TYPE", "pubsub"), "\n")[0])
	assert.Empty(t, ask(t, b, "CLIENT", "LIST", "TYPE", "replica"))
	assert.Contains(t, ask(t, b, "CLIENT", "LIST", "ID", id(t, b)), "cmd=client|list")
	assert.Contains(t, ask(t, b, "CLIENT", "INFO"), "cmd=client|info")
}

func TestClientInfoOfTheCommandAtHand(t *testing.T) {
	s := harness.Start(t, server.Options{})
	for sent, want := range map[string]string{
		"CLIENT INFO\r\n":                          " qbuf=13 qbuf-free=16371 argv-mem=10 ",
		"CLIENT INFO\n":                            " qbuf=12 qbuf-free=16372 argv-mem=10 ",
		harness.RESP("client", "info"):             " qbuf=26 qbuf-free=16358 argv-mem=10 ",
		"PING\r\nCLIENT INFO\r\nPING\r\n":          " qbuf=13 ",
		"MULTI\r\nCLIENT INFO\r\nEXEC\r\n":         " cmd=exec ",
		harness.RESP("CLIENT", "LIST", "ID", "99"): "$0",
	} {
		c := s.Dial(t)
		c.Send("%s", sent)
		line := c.Line()
		for !strings.HasPrefix(line, "id=") && line != "$0" {
			line = c.Line()
		}
		assert.Contains(t, line, want, sent)
	}
	c, watcher := s.Dial(t), s.Dial(t)
	number := id(t, c)
	for _, unknown := range [][]string{{"NOSUCH"}, {"CLIENT", "NOSUCH"}} {
		c.Fence()
		assert.Contains(t, ask(t, watcher, "CLIENT", "LIST", "ID", number), " cmd=ping ")
		c.Command(unknown...)
		c.Line()
		assert.Contains(t, ask(t, watcher, "CLIENT", "LIST", "ID", number), " cmd=NULL ", "as in Redis")
	}
}

func TestClientKill(t *testing.T) {
	for _, tt := range []struct {
		name string
		args func(t *testing.T, victim *harness.Conn, victimID string) []string
		want string
	}{
		{"by address, the old form", func(_ *testing.T, v *harness.Conn, _ string) []string { return []string{v.LocalAddr().String()} }, "+OK"},
		{"by id", func(_ *testing.T, _ *harness.Conn, id string) []string { return []string{"ID", id} }, ":1"},
		{"by address", func(_ *testing.T, v *harness.Conn, _ string) []string {
			return []string{"ADDR", v.LocalAddr().String()}
		}, ":1"},
		{"by our address, but not oneself", func(_ *testing.T, v *harness.Conn, _ string) []string {
			return []string{"LADDR", v.RemoteAddr().String()}
		}, ":1"},
		{"by type", func(*testing.T, *harness.Conn, string) []string { return []string{"TYPE", "pubsub"} }, ":1"},
		{"by user", func(*testing.T, *harness.Conn, string) []string { return []string{"USER", "default"} }, ":1"},
		{"by filters that must all hold", func(_ *testing.T, _ *harness.Conn, id string) []string {
			return []string{"ID", id, "TYPE", "pubsub", "SKIPME", "no"}
		}, ":1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, server.Options{})
			victim, killer := s.Dial(t), s.Dial(t)
			number := id(t, victim)
			victim.Command("SUBSCRIBE", "a")
			victim.Expect("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
			killer.Command(append([]string{"CLIENT", "KILL"}, tt.args(t, victim, number)...)...)
			assert.Equal(t, tt.want, killer.Line())
			victim.ExpectEnd()
			killer.Fence()
			harness.Eventually(t, func() bool { return s.Info(t, "ended_killed") == 1 }, "it is not counted")
		})
	}
	t.Run("of each kind the last filter counts", func(t *testing.T) {
		s := harness.Start(t, server.Options{})
		a, b, c := s.Dial(t), s.Dial(t), s.Dial(t)
		c.Command("CLIENT", "KILL", "ID", id(t, a), "ADDR", b.LocalAddr().String(), "ID", id(t, b))
		c.Expect(":1\r\n")
		c.Command("CLIENT", "KILL", "ADDR", a.LocalAddr().String(), "ADDR", "127.0.0.1:1")
		c.Expect(":0\r\n")
		c.Command("CLIENT", "KILL", "SKIPME", "no", "LADDR", s.Addr, "SKIPME", "yes")
		c.Expect(":1\r\n")
		b.ExpectEnd()
		a.ExpectEnd()
	})
	t.Run("whoever is killed is no client any more", func(t *testing.T) {
		s := harness.Start(t, server.Options{})
		a, c := s.Dial(t), s.Dial(t)
		number := id(t, a)
		c.Send("%s", harness.RESP("CLIENT", "KILL", "ID", number)+harness.RESP("CLIENT", "KILL", "ID", number))
		c.Expect(":1\r\n:0\r\n")
		assert.Contains(t, ask(t, c, "INFO", "clients"), "connected_clients:1\r\n")
		assert.NotContains(t, ask(t, c, "CLIENT", "LIST"), "id="+number+" ")
		assert.Empty(t, ask(t, c, "CLIENT", "LIST", "ID", number))
		a.ExpectEnd()
		assert.Equal(t, 1, s.Info(t, "connected_clients")-1, "and is not taken off twice") // Info dials
	})
	t.Run("nor within the transaction that does so", func(t *testing.T) {
		s := harness.Start(t, server.Options{})
		a, c := s.Dial(t), s.Dial(t)
		number := id(t, a)
		c.Send("MULTI\r\nCLIENT KILL ID %s\r\nCLIENT KILL ID %s\r\nEXEC\r\n", number, number)
		c.Expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n:0\r\n")
		a.ExpectEnd()
	})
	t.Run("numbers are spelt in one way", func(t *testing.T) {
		s := harness.Start(t, server.Options{})
		a, c := s.Dial(t), s.Dial(t)
		number := id(t, a)
		for _, spelling := range []string{"+" + number, "0" + number, " " + number, number + " ", "", "-1", "0", "9223372036854775808"} {
			c.Command("CLIENT", "KILL", "ID", spelling)
			c.Expect("-ERR client-id should be greater than 0\r\n")
		}
		for _, spelling := range []string{"+1", "01", "", "x", "9223372036854775808"} {
			c.Command("CLIENT", "KILL", "MAXAGE", spelling)
			c.Expect("-ERR maxage is not an integer or out of range\r\n")
		}
		for _, spelling := range []string{"0", "-1"} {
			c.Command("CLIENT", "KILL", "MAXAGE", spelling)
			c.Expect("-ERR maxage should be greater than 0\r\n")
		}
		c.Command("CLIENT", "KILL", "MAXAGE", "9223372036854775807")
		c.Expect(":0\r\n")
		c.Command("CLIENT", "LIST", "ID", "+1")
		c.Expect("-ERR Invalid client ID\r\n")
		a.Fence()
	})
	t.Run("filters that do not all hold kill nobody", func(t *testing.T) {
		s := harness.Start(t, server.Options{})
		a, b := s.Dial(t), s.Dial(t)
		b.Command("CLIENT", "KILL", "ID", id(t, a), "TYPE", "pubsub")
		b.Expect(":0\r\n")
		b.Command("CLIENT", "KILL", "MAXAGE", "3600")
		b.Expect(":0\r\n")
		a.Fence()
	})
	t.Run("who kills itself gets the answer first", func(t *testing.T) {
		s := harness.Start(t, server.Options{})
		c := s.Dial(t)
		c.Command("CLIENT", "KILL", "ID", id(t, c), "SKIPME", "no")
		c.Expect(":1\r\n")
		c.ExpectEnd()
	})
}

func TestMonitorSeesAllCommandsInTheOneOrder(t *testing.T) {
	s := harness.Start(t, server.Options{})
	m, a, b := s.Dial(t), s.Dial(t), s.Dial(t)
	m.Send("MONITOR\n")
	m.Expect("+OK\r\n")
	const n = 100
	for i := range n {
		for name, c := range map[string]*harness.Conn{"a": a, "b": b} {
			c.Command("PUBLISH", name, fmt.Sprintf("%d \"\\\r\n\x00\xff", i))
			c.Expect(":0\r\n")
		}
	}
	a.Send("PUB a it's typed\n")
	a.Expect("OK PUB a\n")
	next := map[string]int{}
	line := regexp.MustCompile(`^\+\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] "PUBLISH" "([ab])" "(\d+) \\"\\\\\\r\\n\\x00\\xff"$`)
	for range 2 * n {
		parts := line.FindStringSubmatch(m.Line())
		require.NotNil(t, parts)
		assert.Equal(t, strconv.Itoa(next[parts[1]]), parts[2])
		next[parts[1]]++
	}
	assert.Regexp(t, `\] "PUB" "a" "it's typed"$`, m.Line())
	m.Send("RESET\n")
	assert.Regexp(t, `\] "RESET"$`, m.Line())
	m.Expect("+RESET\r\n")
	a.Fence()
	m.Fence()
}

// A monitor may be one of some topics, or of one user. What names none of these is not shown to it.
func TestMonitorOfTopicsAndUsers(t *testing.T) {
	s := harness.Start(t, server.Options{ACLFile: rules(t, "user default on nopass ~* &* +@all", "user ann on >pw ~* &* +@all")})
	topics, ann, both, all, c, d := s.Dial(t), s.Dial(t), s.Dial(t), s.Dial(t), s.Dial(t), s.Dial(t)
	for m, command := range map[*harness.Conn][]string{
		topics: {"MONITOR", "TOPIC", "news.*"}, ann: {"MONITOR", "USER", "ann"}, both: {"monitor", "user", "ann", "topic", "news.*"}, all: {"MONITOR"},
	} {
		m.Command(command...)
		m.Expect("+OK\r\n")
	}
	c.Command("AUTH", "ann", "pw")
	c.Expect("+OK\r\n")
	for _, run := range []struct {
		from    *harness.Conn
		command string
	}{
		{d, "SUBSCRIBE news.x"}, {c, "PUBLISH news.x hi"}, {c, "PUBLISH other hi"}, {s.Dial(t), "PUBLISH news.y hi"}, {s.Dial(t), "XLEN news.z"},
	} {
		run.from.Command(strings.Fields(run.command)...)
		_, err := run.from.Frame()
		require.NoError(t, err)
	}
	d = s.Dial(t)
	shown := func(m *harness.Conn) (lines []string) {
		m.Send("RESET\n")
		for {
			line := m.Line()
			if line == "+RESET" {
				return lines
			}
			if _, command, _ := strings.Cut(line, "] "); !strings.Contains(command, "RESET") {
				lines = append(lines, command)
			}
		}
	}
	assert.Equal(t, []string{`"SUBSCRIBE" "news.x"`, `"PUBLISH" "news.x" "hi"`, `"PUBLISH" "news.y" "hi"`, `"XLEN" "news.z"`}, shown(topics))
	assert.Equal(t, []string{`"PUBLISH" "news.x" "hi"`, `"PUBLISH" "other" "hi"`}, shown(ann))
	assert.Equal(t, []string{`"PUBLISH" "news.x" "hi"`}, shown(both))
	assert.Subset(t, shown(all), []string{`"PUBLISH" "other" "hi"`, `"XLEN" "news.z"`})

	for _, wrong := range []string{"MONITOR TOPIC", "MONITOR x y", "MONITOR TOPIC a USER", "MONITOR USER a TOPIC " + strings.Repeat("*", 257)} {
		d.Command(strings.Fields(wrong)...)
		frame, err := d.Frame()
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(string(frame), "-ERR "), "%s: %s", wrong, frame)
		assert.NotContains(t, string(frame), "\x00")
	}
	d.Command("MONITOR", "TOPIC", "a")
	d.Expect("+OK\r\n")
	d.Command("MONITOR", "TOPIC", "b") // instead of a
	d.Expect("+OK\r\n")
	c.Command("PUBLISH", "a", "hi")
	c.Expect(":0\r\n")
	d.Fence()
}

// A monitor that does not read is disconnected like any slow subscriber, and holds nobody up.
func TestSlowMonitorIsDisconnected(t *testing.T) {
	s := harness.Start(t, server.Options{SlowHard: 1 << 20})
	m, c := s.Dial(t), s.Dial(t)
	m.Send("MONITOR\n")
	m.Expect("+OK\r\n")
	payload := strings.Repeat("x", 50_000)
	for i := 0; s.Info(t, "ended_slow_hard") == 0; i++ {
		require.Less(t, i, 10_000)
		c.Command("PUBLISH", "a", payload)
		c.Expect(":0\r\n")
	}
	_, _ = io.Copy(io.Discard, m) // it ends
}

func TestLogLevelChangesAtRunTime(t *testing.T) {
	was := zerolog.GlobalLevel()
	t.Cleanup(func() { zerolog.SetGlobalLevel(was) })
	s := harness.Start(t, server.Options{})
	c := s.Dial(t)
	for word, level := range map[string]string{"trace": "trace", "verbose": "debug", "notice": "info", "WARNING": "warn"} {
		c.Command("CONFIG", "SET", "loglevel", word)
		c.Expect("+OK\r\n")
		c.Command("CONFIG", "GET", "LogLevel")
		c.Expect(fmt.Sprintf("*2\r\n$8\r\nloglevel\r\n$%d\r\n%s\r\n", len(level), level))
	}
}

func TestInfoTellsTheTruth(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := s.Dial(t)
	for _, verb := range []string{"SUB a b", "PSUB n*"} {
		c.Send("%s\n", verb)
		c.Line()
	}
	c.Line()
	c.Command("SSUBSCRIBE", "s")
	_, err := c.Frame()
	require.NoError(t, err)
	for key, want := range map[string]int{"pubsub_channels": 2, "pubsub_patterns": 1, "pubsubshard_channels": 1, "pubsub_clients": 1,
		"loading": 0, "messages_published": 0} {
		assert.Equal(t, want, s.Info(t, key), key)
	}
	assert.True(t, strings.HasPrefix(ask(t, s.Dial(t), "INFO", "CLIENTS", "nosuch"), "# Clients\r\nconnected_clients:"))
}
