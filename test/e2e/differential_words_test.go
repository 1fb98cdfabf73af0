//go:build e2e

package e2e

import (
	"fmt"
	"strings"
)

// topics are the only names that are subscribed to, and no other bulk string in an answer is one of them.
var topics = []string{"a", "b", "ab", "abc", "a:b", "A", "x y", "*", "", "\x00\xff\r\n"}

var patterns = []string{
	"*", "a*", "?", "[ab]", "a?c", "[^a]*", `\*`, `a\b`, "", "**", "[a-c]b", "[c-a]", "[", "*b", "a:*", `[\]]`, "[^", "a[", "\x00*", "a", `\`, "[]", "[a",
	"*a*b*", "[a-]", `*\`,
}

// payload is one that was never used before: the order of messages shows in it.
func (g *generator) payload() string {
	g.payloads++
	p := fmt.Sprintf("%d", g.payloads)
	return pick(g, "m"+p, "m"+p, "message "+p, "\r\n\x00\xff"+p, p+strings.Repeat("x", 300))
}

func subscribe(g *generator) []string {
	verb := pick(g, "SUBSCRIBE", "PSUBSCRIBE", "SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE")
	if strings.Contains(verb, "UNS") && g.oneIn(2) {
		return []string{verb}
	}
	if verb[0] == 'P' {
		return append([]string{verb}, g.some(patterns)...)
	}
	return append([]string{verb}, g.some(topics)...)
}

func publish(g *generator) []string { return []string{"PUBLISH", pick(g, topics...), g.payload()} }

func sharded(g *generator) []string {
	switch verb := pick(g, "SSUBSCRIBE", "SSUBSCRIBE", "SPUBLISH", "SPUBLISH", "SPUBLISH", "SUNSUBSCRIBE", "PUBSUB"); {
	case verb == "SPUBLISH":
		return []string{verb, pick(g, topics...), g.payload()}
	case verb == "SUNSUBSCRIBE" && g.oneIn(2):
		return []string{verb}
	case verb == "PUBSUB" && g.oneIn(2):
		return append([]string{verb, pick(g, "SHARDCHANNELS", "shardchannels")}, g.some(patterns)[:g.Intn(2)]...)
	case verb == "PUBSUB":
		return append([]string{verb, "SHARDNUMSUB"}, g.some(topics)[:g.Intn(2)]...)
	default:
		return append([]string{verb}, g.some(topics)...)
	}
}

func introspection(g *generator) []string {
	switch g.Intn(3) {
	case 0:
		return append([]string{"PUBSUB", pick(g, "CHANNELS", "Channels")}, g.some(patterns)[:g.Intn(2)]...)
	case 1:
		return append([]string{"PUBSUB", "NUMSUB"}, g.some(topics)...)
	default:
		return [][]string{{"PUBSUB", "NUMPAT"}, {"PUBSUB", "numsub"}}[g.Intn(2)]
	}
}

func connection(g *generator) []string {
	switch g.Intn(5) {
	case 0:
		return []string{"PING"}
	case 1:
		return []string{"PING", g.payload()}
	case 2:
		return []string{"ECHO", g.payload()}
	case 3:
		return []string{"CLIENT", "ID"}
	default:
		return []string{"SELECT", pick(g, "0", "1", "15", "16", "-1", "x", "", "00", "+1", "1.0", " 1", "99999999999999999999", "2147483648")}
	}
}

func hello(g *generator) []string {
	version := pick(g, "2", "3", "3", "3")
	if g.oneIn(2) {
		return []string{"HELLO", version}
	}
	return [][]string{
		{"HELLO"},
		{"HELLO", pick(g, "1", "4", "0", "-1", "x", "", "03", "+3", "3.0", "99999999999999999999", "4294967299", "AUTH")},
		{"HELLO", version, "SETNAME", pick(g, "anna", "ben", "", "a b", "\xff")},
		{"HELLO", version, pick(g, "SETNAME", "setname", "AUTH", "FOO", "", "SETINFO", "a b")},
		{"HELLO", version, "AUTH", "default", "any"},
		{"HELLO", version, "auth", pick(g, "bob", "", "Default"), "any"},
		{"HELLO", version, "AUTH", "default"},
		{"HELLO", version, "AUTH", "default", "any", "SETNAME", "carl"},
		{"HELLO", version, "SETNAME", "dora", "AUTH", "default", "any"},
		{"HELLO", version, "SETNAME", "emil", "SETNAME", pick(g, "fred", "")},
		{"HELLO", "4", "SETNAME", "ines"},
		{"HELLO", "x", "FOO"},
	}[g.Intn(12)]
}

func names(g *generator) []string {
	if g.oneIn(2) {
		return []string{"CLIENT", "GETNAME"}
	}
	return []string{"CLIENT", pick(g, "SETNAME", "setname"), pick(g, "anna", "ben", "", "a b", "\n", "\x7f", "~!", "é")}
}

func list(g *generator) []string {
	conn := func() string { return fmt.Sprintf("{id %d}", g.Intn(g.conns)) }
	return [][]string{
		{"CLIENT", "LIST"},
		{"CLIENT", "INFO"},
		{"CLIENT", "LIST", "ID", conn(), conn()},
		{"CLIENT", "list", "type", pick(g, "pubsub", "PUBSUB", "normal", "master", "replica", "slave", "x", "")},
		{"CLIENT", "LIST", pick(g, "ID", "TYPE", "x", "")},
		{"CLIENT", "LIST", "ID", pick(g, "0", "-1", "x", "", "1")},
		{"CLIENT", "LIST", "TYPE", "pubsub", "x"},
		{"CLIENT", "LIST", "TYPE", "pubsub", "ID", conn()},
		{"CLIENT", "NO-EVICT", pick(g, "OFF", "x")},
	}[g.Intn(9)]
}

func kill(g *generator) []string {
	conn := g.Intn(g.conns)
	id, address := fmt.Sprintf("{id %d}", conn), fmt.Sprintf("{address %d}", conn)
	return [][]string{
		{"CLIENT", "KILL", "ID", id},
		{"CLIENT", "KILL", "id", id, "skipme", pick(g, "no", "YES", "x")},
		{"CLIENT", "KILL", "ADDR", address},
		{"CLIENT", "KILL", address},
		{"CLIENT", "KILL", "TYPE", pick(g, "pubsub", "pubsub", "master", "replica", "x")},
		{"CLIENT", "KILL", "ID", id, "TYPE", "pubsub"},
		{"CLIENT", "KILL", "ID", id, "USER", "default"},
		{"CLIENT", "KILL", "USER", "bob"},
		{"CLIENT", "KILL", "LADDR", "1.2.3.4:5"},
		{"CLIENT", "KILL", pick(g, "x", "", "1.2.3.4:5")},
		{"CLIENT", "KILL", "ID", pick(g, "0", "-1", "x", "", "99999999999999999999", "1")},
		{"CLIENT", "KILL", "ID"},
		{"CLIENT", "KILL", "x", "y"},
		{"CLIENT", "KILL", "ID", id, "x"},
	}[g.Intn(14)]
}

// wrong is what is no command, or has not the right number of arguments.
func wrong(g *generator) []string {
	return [][]string{
		append([]string{pick(g, "NOSUCH", "foo", "a b", "a\r\nb", "a\x00b", "SUBSCRIBER", strings.Repeat("long", 50), "")}, g.odd()...),
		append([]string{"NOSUCH", strings.Repeat("y", 120)}, g.odd()...),
		{pick(g, "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "PUBLISH", "SPUBLISH", "PUBSUB", "ECHO", "SELECT", "CLIENT")},
		{pick(g, "PUBLISH", "SPUBLISH"), "a"},
		{pick(g, "PUBLISH", "SPUBLISH", "ECHO", "SELECT", "PING", "TIME", "MULTI", "EXEC", "DISCARD", "RESET"), "a", "b", "c"},
		{pick(g, "MULTI", "EXEC", "DISCARD", "RESET", "TIME"), "a"},
		{"PUBSUB", pick(g, "CHANNELS", "SHARDCHANNELS"), "a", "b"},
		{"PUBSUB", "NUMPAT", "a"},
		append([]string{"PUBSUB", pick(g, "NOSUCH", "", "CHANNELSX", "num", strings.Repeat("z", 140))}, g.odd()...),
		{"CLIENT", pick(g, "SETNAME", "KILL", "REPLY", "NO-EVICT")},
		{"CLIENT", pick(g, "ID", "GETNAME", "INFO"), "a"},
		{"CLIENT", pick(g, "SETNAME", "REPLY", "NO-EVICT"), "a", "b"},
		append([]string{"CLIENT", pick(g, "NOSUCH", "", "GET NAME", "GET\nNAME")}, g.odd()...),
		{"SCAN"},
	}[g.Intn(14)]
}

func (g *generator) odd() []string {
	return g.some([]string{"a", "", "b c", "b\r\n\r\nc", "b\x00c", "'e'", strings.Repeat("f", 130), "é"})[:g.Intn(2)]
}

// empty publishes nothing, or is nothing.
func empty(g *generator) []command {
	switch g.Intn(3) {
	case 0:
		return []command{g.command([]string{pick(g, "PUBLISH", "SPUBLISH"), pick(g, topics...), ""})}
	case 1:
		return []command{g.command([]string{pick(g, "ECHO", "PING"), ""})}
	}
	return append([]command{{typed: pick(g, empties...), silent: true}}, g.joining()...)
}

// transaction opens, ends, or does both with commands between.
func transaction(g *generator) []command {
	switch g.Intn(8) {
	case 0, 1:
		return fixed("MULTI")(g)
	case 2, 3:
		return fixed("EXEC")(g)
	case 4:
		return fixed("DISCARD")(g)
	}
	commands := fixed("MULTI")(g)
	for range g.Intn(6) {
		commands = append(commands, g.joining()...)
	}
	return append(commands, fixed(pick(g, "EXEC", "EXEC", "EXEC", "DISCARD", "RESET"))(g)...)
}

// reply silences a few commands.
func reply(g *generator) []command {
	quiet := func() []command {
		return g.family(func(f family) bool { return f.name == "connection" || f.name == "publish" || f.name == "wrong" }).make(g)
	}
	on := g.command([]string{"CLIENT", "REPLY", pick(g, "ON", "on")})
	skip := g.command([]string{"CLIENT", "REPLY", "SKIP"})
	switch g.Intn(5) {
	case 0:
		return []command{on}
	case 1:
		return append([]command{skip}, quiet()...)
	case 2:
		return append([]command{skip}, fixed("RESET")(g)...)
	case 3:
		return []command{g.command([]string{"CLIENT", "REPLY", pick(g, "x", "")})}
	default:
		return append(append(append([]command{g.command([]string{"CLIENT", "REPLY", "OFF"})}, quiet()...), quiet()...), on)
	}
}

// end is what ends a connection.
func end(g *generator) []command {
	if g.oneIn(6) {
		return []command{{typed: pick(g, browsers...)}}
	}
	before := g.joining()
	if g.oneIn(3) {
		return append(before, g.command(append([]string{"QUIT"}, g.odd()...)))
	}
	return append(before, command{typed: pick(g, malformed...)})
}
