//go:build e2e

package e2e

import (
	"math/rand"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/testseed"
	"github.com/conchmq/conch/protocol"
)

// The package of rules and a real redis-server are given the same random rules, and mean the same by them, but for what
// this list allows. -diff.seed and -diff.steps are those of the differential test of commands.
//
//   - 7.0 works the rules about commands out of what may be run, 7.2 and conch show them as they came. So what conch
//     shows is given to Redis again, which must then show the same user.
//   - From 7.2 on sanitize-payload is always shown, up to 7.0 only if somebody said it.
//   - 7.2 and conch say who may not, 7.0 says "This user".
//   - A first argument is shown in lower case from 7.2 on, and the one given last comes last. It matches in any case.
//   - What is wrong with a rule that begins with %, where all keys are granted already: Redis looks no further.
//   - WAIT is in @blocking from 7.2 on.
//
// Never given, because conch means to differ: %R& and %W&, a % and letters without a ~ (Redis takes it for the empty
// key), a glob subscription that lengthens a granted prefix, rights to read and to write * apart (Redis shows ~* and
// cannot read what it then writes), a parenthesis inside a selector (Redis drops what came before, or writes a file in
// which the selector ends there), quotes inside a selector (Redis takes them away), a first argument with a space in
// it, verbs of the line dialect.

func aclLanguage(t *testing.T) (l *acl.Registry, present []string) {
	t.Helper()
	for _, row := range protocol.Commands {
		present = append(present, row.FullName())
	}
	l, err := acl.NewRegistry(present, broker.Match)
	require.NoError(t, err)
	return l, present
}

func TestACLRulesMeanWhatRedisMeans(t *testing.T) {
	seed := *diffSeed
	if seed == 0 {
		seed = int64(testseed.New())
	}
	c := &aclComparison{
		t: t, redis: startRedis(t).control, generator: &generator{Rand: rand.New(rand.NewSource(seed))},
	}
	c.language, _ = aclLanguage(t)
	for done := 0; done < *diffSteps && !t.Failed(); done += 5 {
		c.forget()
		for range 5 {
			c.change(c.rules())
		}
	}
	assert.False(t, t.Failed(), "-diff.seed %d", seed)
}

// aclComparison is one user, alice, of redis-server and of the package.
type aclComparison struct {
	t         *testing.T
	redis     *diffConn
	language  *acl.Registry
	users     *acl.Users
	generator *generator
	given     [][]string // the rules so far
}

func (c *aclComparison) forget() {
	c.redis.ask("ACL", "DELUSER", "alice")
	c.users, c.given = acl.NewUsers(c.language), nil
	c.change(nil)
}

// change gives both the same rules. They refuse them with the same words, or both know the same user.
func (c *aclComparison) change(rules []string) {
	c.given = append(c.given, rules)
	ours := "+OK\r\n"
	if err := c.users.Set("alice", rules...); err != nil {
		ours = "-ERR " + err.Error() + "\r\n"
	}
	theirs := c.redis.ask(append([]string{"ACL", "SETUSER", "alice"}, rules...)...)
	if at, _, ok := strings.Cut(theirs, ": Adding a pattern"); ok && strings.ContainsAny(at, "%") {
		ours, _, _ = strings.Cut(ours, ": ")
		theirs = at
	}
	require.Equal(c.t, theirs, ours, "given %q", c.given)
	c.sameUser()
	for range 10 {
		c.sameJudgement(strings.Fields(pick(c.generator, aclCommands...)))
	}
}

var (
	aclCommandRules = regexp.MustCompile(`[+-]@all( [+-][^ )]+)*`)
	aclPayload      = regexp.MustCompile(` sanitize-payload\b`)

	aclFirstArguments = strings.NewReplacer("+echo|Hi", "+echo|hi", "+select|1 +select|0", "+select|0 +select|1")
)

func (c *aclComparison) sameUser() {
	show := func(line string) string { return aclFirstArguments.Replace(aclPayload.ReplaceAllString(line, "")) }
	bare := func(line string) string { return aclCommandRules.ReplaceAllString(show(line), "COMMANDS") }
	ours, theirs := c.users.Find("alice").String(), c.line("alice")
	require.Equal(c.t, bare(theirs), bare(ours), "given %q", c.given)

	c.redis.ask("ACL", "DELUSER", "again")
	words := strings.Fields(ours)
	require.Equal(c.t, "+OK\r\n", c.redis.ask(append([]string{"ACL", "SETUSER", "again"}, words[2:]...)...), ours)
	again := strings.Replace(c.line("again"), "user again ", "user alice ", 1)
	require.Equal(c.t, show(theirs), show(again), "given %q, shown as %q", c.given, ours)
}

// line is what ACL LIST of Redis shows of a user.
func (c *aclComparison) line(user string) string {
	for line := range strings.Lines(c.redis.ask("ACL", "LIST")) {
		if strings.HasPrefix(line, "user "+user+" ") {
			return strings.TrimSpace(line)
		}
	}
	require.FailNow(c.t, "no user", user)
	return ""
}

// aclCommands are judged, some after each change. A name with a | is two words for Redis.
var aclCommands = []string{
	"publish a x", "publish b.1 x", "spublish hello x", "subscribe a", "subscribe a b.2 nope", "ssubscribe nope",
	"psubscribe b.*", "psubscribe h?llo", "psubscribe *", "psubscribe z*", "unsubscribe nope", "punsubscribe *",
	"pubsub|channels", "ping", "auth x", "hello 3", "quit", "reset", "echo Hi", "echo x", "select 0", "select 1",
	"client|id", "client|kill x", "client|list", "config|get x", "config|set a b", "info", "shutdown", "monitor",
	"acl|whoami", "acl|setuser x", "command", "command|count", "time", "role", "multi", "exec",
	"del a", "del a b.1 nope", "exists b.1 hello", "expire a 5", "ttl nope", "xadd a * f v", "xlen b.1", "xinfo|stream a", "keys *",
}

func (c *aclComparison) sameJudgement(typed []string) {
	args := make([][]byte, len(typed)-1)
	for i, word := range typed[1:] {
		args[i] = []byte(word)
	}
	var keys acl.Keys
	if k := protocol.LookupFull([]byte(typed[0])).Keys; k != nil {
		before := make([][]byte, 1+strings.Count(typed[0], "|")) // the words of the name
		keys = acl.Keys{Names: k.Find(append(before, args...)), Read: k.Reads, Write: k.Writes}
	}
	ours := "+OK\r\n"
	if r := c.users.Find("alice").Check(c.language.Command(typed[0]), args, keys); r != nil {
		ours = bulkString(r.Detail())
	}
	theirs := c.redis.ask(slices.Concat([]string{"ACL", "DRYRUN", "alice"}, strings.Split(typed[0], "|"), typed[1:])...)
	if _, text, ok := strings.Cut(theirs, "This user "); ok {
		theirs = bulkString("User alice " + strings.TrimSuffix(text, "\r\n"))
	}
	require.Equal(c.t, theirs, ours, "%q, given %q", typed, c.given)
}

// rules are some, right and wrong, with selectors whole or in pieces, and now and then one that does not end.
func (c *aclComparison) rules() []string {
	g := c.generator
	var rules []string
	for range g.Intn(6) {
		switch rule := c.rule(); {
		case !g.oneIn(8):
			rules = append(rules, rule)
		case g.oneIn(2):
			rules = append(rules, "("+rule+" "+c.rule()+")")
		default:
			rules = append(rules, "("+strings.Trim(rule, ")"), c.rule(), c.rule()+")") // "()" would end it at once
		}
	}
	if g.oneIn(30) {
		rules = append(rules, "(+ping", "&a")
	}
	return rules
}

func (c *aclComparison) rule() string {
	g := c.generator
	const digest = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
	command := pick(g, "publish", "subscribe", "psubscribe", "ping", "client", "client|id", "client|kill", "config|get", "config",
		"get", "set", "xgroup|create", "acl", "select", "echo", "pubsub", "info", "CLIENT|Id", "PUBLISH", "select|0", "echo|hi",
		"echo|Hi", "select|1")
	switch g.Intn(16) {
	case 0, 1, 2, 3:
		return pick(g, "+", "+", "-") + command
	case 4, 5, 6:
		return pick(g, "+@", "-@") + pick(g, "all", "pubsub", "admin", "slow", "fast", "dangerous", "connection", "keyspace",
			"string", "transaction", "read", "PubSub", "scripting")
	case 7, 8, 9:
		return pick(g, "&", "&", "&", "~", "%R~", "%W~", "%rw~", "%wR~") + pick(g, "a", "b.*", "h?llo", "[ab]x", "nope", "")
	case 10:
		return pick(g, "&*", "~*", "allchannels", "resetchannels", "resetchannels", "allkeys", "resetkeys", "allcommands", "nocommands")
	case 11:
		return pick(g, "on", "off", "OFF", "nopass", "resetpass", "reset", "clearselectors", "sanitize-payload", "skip-sanitize-payload")
	case 12:
		return pick(g, ">password", ">other", "<password", "#"+digest, "!"+digest, ">")
	case 13:
		if g.oneIn(3) {
			return pick(g, "+nosuch", "-nosuch", "+@nosuch", "+client|nosuch", "-client|nosuch", "+nosuch|x", "+", "-", "+@", "+select|",
				"-select|0", "+client|id|x", "+select|a|b", "+client|", "%X~a", "%RR~a", "%~a", "hello", "#5e88", "!5e88",
				"<nope", ")", "a b", "&a b", "~a\tb", "+@all|x", "onn", "", "users", "#"+strings.ToUpper(digest))
		}
	}
	return "+" + command
}

func TestACLCategoriesAreThoseOfRedis(t *testing.T) {
	redis := startRedis(t).control
	l, present := aclLanguage(t)
	list := func(answer string) []string { // every second line of an array of bulk strings
		var out []string
		for line := range strings.Lines(answer) {
			if line[0] != '*' && line[0] != '$' {
				out = append(out, strings.TrimSpace(line))
			}
		}
		slices.Sort(out)
		return out
	}
	inRedis := list(redis.ask("COMMAND", "LIST"))
	want := list(redis.ask("ACL", "CAT"))
	got := l.Categories()
	slices.Sort(got)
	assert.Equal(t, want, got)
	for _, category := range got {
		ours, err := l.Cat(category)
		require.NoError(t, err)
		theirs := slices.DeleteFunc(list(redis.ask("ACL", "CAT", category)), func(name string) bool {
			return !slices.Contains(present, name)
		})
		ours = slices.DeleteFunc(ours, func(name string) bool {
			return !slices.Contains(inRedis, name) || category == "blocking" && name == "wait"
		})
		assert.Equal(t, theirs, slices.Clip(ours), category)
	}
}

func TestACLRefusesAsRedis(t *testing.T) {
	redis := startRedis(t).control
	l, _ := aclLanguage(t)
	us := acl.NewUsers(l)
	_, catError := l.Cat("nosuch")
	_, bitsError := acl.GenPassLen(4097)
	_, deleteError := us.Delete("x", "default")
	for asked, err := range map[string]error{
		"CAT nosuch": catError, "GENPASS 4097": bitsError, "DELUSER x default": deleteError,
		"SETUSER a\tb": us.Set("a\tb"), "SETUSER x (+get ~a": us.Set("x", "(+get", "~a"),
	} {
		require.Error(t, err)
		assert.Equal(t, "-ERR "+err.Error()+"\r\n", redis.ask(append([]string{"ACL"}, strings.Split(asked, " ")...)...))
	}
}

// The matrix of package command says which right each key needs. Redis judges the same, for the commands that it has.
func TestKeyRightsAreThoseOfRedis(t *testing.T) {
	redis := startRedis(t).control
	file, err := os.ReadFile("../../internal/command/testdata/keyrights.txt")
	require.NoError(t, err)
	compared := 0
	for line := range strings.Lines(string(file)) {
		columns := append(strings.Split(strings.TrimSpace(line), "\t"), "", "")
		words := strings.Fields(columns[0])
		// 7.0 lacks these, and XAUTOCLAIM needs the right to read too from 7.2 on.
		if later := []string{"XDELEX", "XCFGSET", "XFENCE", "XACKDEL", "XNACK", "READ", "XAUTOCLAIM"}; line[0] == '#' || slices.Contains(later, words[0]) {
			continue
		}
		for rule, granted := range map[string]string{"~*": "RW", "%R~*": "R", "%W~*": "W", "~other": "", "resetkeys": ""} {
			redis.ask("ACL", "DELUSER", "alice")
			redis.ask("ACL", "SETUSER", "alice", "+@all", "&*", rule)
			want := map[string]bool{
				"": true, "any": granted != "", "both": granted == "RW", "read": strings.Contains(granted, "R"), "write": strings.Contains(granted, "W"),
			}[columns[1]]
			reply := redis.ask(slices.Concat([]string{"ACL", "DRYRUN", "alice"}, words)...)
			assert.Equal(t, want, reply == "+OK\r\n", "%s, with %s: %s", columns[0], rule, reply)
			compared++
		}
	}
	assert.Greater(t, compared, 150)
}
