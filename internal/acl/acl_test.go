package acl

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// now is the time of all tests.
var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// language returns a registry of the commands of package protocol.
func language(t testing.TB) *Registry {
	t.Helper()
	var present []string
	for _, row := range protocol.Commands {
		present = append(present, row.FullName())
	}
	l, err := NewRegistry(present, broker.Match)
	require.NoError(t, err)
	return l
}

// alice returns users with a user alice of these rules, separated by spaces.
func alice(t testing.TB, rules string) *Users {
	t.Helper()
	us := NewUsers(language(t))
	require.NoError(t, us.Set("alice", strings.Fields(rules)...))
	return us
}

func TestANewServerHasADefaultUserWhoMayDoEverything(t *testing.T) {
	us := NewUsers(language(t))
	assert.Equal(t, []string{"default"}, us.Names())
	assert.Equal(t, "user default on nopass sanitize-payload ~* &* +@all\n", string(us.Text()))
	_, _, ok := us.Authenticate("default", Hash([]byte("anything")), now)
	assert.True(t, ok)
}

// If want is empty, the rules must fail with the text err.
func TestSetUser(t *testing.T) {
	const (
		pw  = "#5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8" // of "password"
		all = "Adding a pattern after the * pattern (or the 'all"
	)
	tests := []struct{ sentence, rules, want, err string }{
		{"a new user may do nothing", "", "off sanitize-payload resetchannels -@all", ""},
		{"words are read in any letter case", "ON NoPass", "on nopass sanitize-payload resetchannels -@all", ""},
		{"the last of on and off holds", "on off on off", "off sanitize-payload resetchannels -@all", ""},
		{"what is about payloads is kept", "skip-sanitize-payload", "off skip-sanitize-payload resetchannels -@all", ""},

		{"a password is kept as its digest", ">password", "off sanitize-payload " + pw + " resetchannels -@all", ""},
		{"a digest is a password", pw, "off sanitize-payload " + pw + " resetchannels -@all", ""},
		{"the same password is kept once", ">password " + pw, "off sanitize-payload " + pw + " resetchannels -@all", ""},
		{"a password goes as it came", ">password <password", "off sanitize-payload resetchannels -@all", ""},
		{"or as its digest", ">password !" + pw[1:], "off sanitize-payload resetchannels -@all", ""},
		{"nopass forgets passwords", ">password nopass", "off nopass sanitize-payload resetchannels -@all", ""},
		{"a password ends nopass", "nopass >password", "off sanitize-payload " + pw + " resetchannels -@all", ""},
		{"resetpass ends both", ">password nopass resetpass", "off sanitize-payload resetchannels -@all", ""},
		{"an unknown password cannot go", "<nope", "", "'<nope': The password you are trying to remove from the user does not exist"},
		{"a digest is 64 digits", "#5e88", "", "'#5e88': The password hash must be exactly 64 characters"},
		{"in lower case", strings.ToUpper(pw), "", "The password hash must be exactly 64 characters"},

		{"a topic is granted by a glob", "&orders.*", "off sanitize-payload resetchannels &orders.* -@all", ""},
		{"the same glob once", "&a &b &a", "off sanitize-payload resetchannels &a &b -@all", ""},
		{"to listen alone", "%R&a", "off sanitize-payload resetchannels %R&a -@all", ""},
		{"to publish alone", "%W&a", "off sanitize-payload resetchannels %W&a -@all", ""},
		{"both are shown as such", "%R&a %W&a %rw&b %WR&c", "off sanitize-payload resetchannels &a &b &c -@all", ""},
		{"a right once given stays", "&a %R&a", "off sanitize-payload resetchannels &a -@all", ""},
		{"all topics", "&a allchannels", "off sanitize-payload &* -@all", ""},
		{"or by a star", "&*", "off sanitize-payload &* -@all", ""},
		{"or by two halves", "%R&* %W&*", "off sanitize-payload &* -@all", ""},
		{"half of all is not all", "%R&* &a", "off sanitize-payload resetchannels %R&* &a -@all", ""},
		{"none again", "&* resetchannels &a", "off sanitize-payload resetchannels &a -@all", ""},
		{"one more than all is a mistake", "&* &a", "", "'&a': " + all + "channels' flag)"},
		{"also half a one", "&* %R&a", "", "'%R&a': " + all + "channels' flag)"},
		{"a right must be R or W", "%X&a", "", "'%X&a': Syntax error"},
		{"once", "%RR&a", "", "'%RR&a': Syntax error"},
		{"and one at least", "%&a", "", "'%&a': Syntax error"},
		{"to something", "%R", "", "'%R': Syntax error"},

		{"keys are kept", "~a %R~b %W~c %RW~d", "off sanitize-payload ~a %R~b %W~c ~d resetchannels -@all", ""},
		{"all keys", "~a allkeys", "off sanitize-payload ~* resetchannels -@all", ""},
		{"no keys", "~a resetkeys", "off sanitize-payload resetchannels -@all", ""},
		{"one more than all keys is a mistake", "~* ~a", "", "'~a': " + all + "keys' flag)"},

		{"commands stay in order", "+publish +@pubsub -spublish", "off sanitize-payload resetchannels -@all +publish +@pubsub -spublish", ""},
		{"the last word on a command replaces those before", "+publish +ping -publish", "off sanitize-payload resetchannels -@all +ping -publish", ""},
		{"a parent's those about its children", "+client|id +ping -client", "off sanitize-payload resetchannels -@all +ping -client", ""},
		{"all forgets all before", "+publish +@all -@admin", "off sanitize-payload resetchannels +@all -@admin", ""},
		{"so does none", "+publish nocommands +ping", "off sanitize-payload resetchannels -@all +ping", ""},
		{"names are shown in lower case", "+CLIENT|Id +@PubSub", "off sanitize-payload resetchannels -@all +client|id +@pubsub", ""},
		{"a verb is its command", "+SUB -pub", "off sanitize-payload resetchannels -@all +subscribe -publish", ""},
		{"a command of Redis is kept", "+get -@string +xgroup|create +waitaof", "off sanitize-payload resetchannels -@all +get -@string +xgroup|create +waitaof", ""},
		{"a first argument", "+select|0 +select|1", "off sanitize-payload resetchannels -@all +select|0 +select|1", ""},
		{"which goes with its command", "+select|0 -select", "off sanitize-payload resetchannels -@all -select", ""},
		{"nonsense is none", "+nosuch", "", "'+nosuch': Unknown command or category name in ACL"},
		{"nor as a child", "+client|nosuch", "", "'+client|nosuch': Unknown command or category name in ACL"},
		{"nor as a category", "-@nosuch", "", "'-@nosuch': Unknown command or category name in ACL"},
		{"a first argument cannot be denied", "-select|0", "", "'-select|0': Unknown command or category name in ACL"},
		{"nor given to a child", "+client|id|x", "", "'+client|id|x': Allowing first-arg of a subcommand is not supported"},
		{"nor empty", "+select|", "", "'+select|': Syntax error"},

		{"a selector", "(+publish &a)", "off sanitize-payload resetchannels -@all (resetchannels &a -@all +publish)", ""},
		{"two, and none again", "(+ping) (~a) clearselectors", "off sanitize-payload resetchannels -@all", ""},
		{"an empty one", "()", "off sanitize-payload resetchannels -@all (resetchannels -@all)", ""},
		{"it has no passwords", "(+ping >a)", "", "'(+ping >a)': Syntax error"},
		{"it must end", "on (+ping &a", "", "Unmatched parenthesis in acl selector starting at '(+ping'."},
		{"before the next begins", "(+ping (&a)", "", "Unmatched parenthesis in acl selector starting at '(+ping'."},
		{"and end once", "(+ping) )", "", "')': Syntax error"},

		{"reset is a new user", "on >password &* ~* +@all (+ping) skip-sanitize-payload reset", "off sanitize-payload resetchannels -@all", ""},
		{"a word is no rule", "hello", "", "Error in ACL SETUSER modifier 'hello': Syntax error"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			us := NewUsers(language(t))
			before := string(us.Text())
			err := us.Set("alice", strings.Fields(test.rules)...)
			if test.err != "" {
				assert.ErrorContains(t, err, test.err)
				assert.Equal(t, before, string(us.Text()), "nothing has changed")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "user alice "+test.want, us.Find("alice").String())
		})
	}
}

func TestSetTakesAllRulesOrNone(t *testing.T) {
	us := alice(t, "on >password &a +publish")
	before := us.Find("alice")
	require.Error(t, us.Set("alice", "off", "resetpass", "&b", "-publish", "+nosuch"))
	assert.Same(t, before, us.Find("alice"))
	assert.Equal(t, "on", before.flags()[0])
}

func TestAUserThatWasHandedOutDoesNotChange(t *testing.T) {
	for _, rules := range []string{
		"-ping", "+select|1", "-select", "%W&a", "resetchannels", "<password", ">more", "(+echo)", "clearselectors", "reset",
	} {
		us := alice(t, "on >password >other %R&a &b +ping +echo +select|0 (+ping &a) (+ping &b)")
		require.NoError(t, us.CreateToken("alice", "a", Hash([]byte("a")), now))
		require.NoError(t, us.CreateToken("alice", "b", Hash([]byte("b")), now))
		handedOut := us.Find("alice")
		line, tokens := handedOut.String(), handedOut.Tokens()
		require.NoError(t, us.Set("alice", rules))
		if len(us.Find("alice").Tokens()) > 0 {
			require.NoError(t, us.RevokeToken("alice", "a"))
		}
		assert.Equal(t, line, handedOut.String(), rules)
		assert.Equal(t, tokens, handedOut.Tokens(), rules)
		for arg, want := range map[string]bool{"0": true, "1": false} {
			got := handedOut.Check(us.registry.Command("select"), [][]byte{[]byte(arg)}, Keys{}) == nil
			assert.Equal(t, want, got, "select %s after %s", arg, rules)
		}
	}
}

func TestNamesOfUsers(t *testing.T) {
	us := NewUsers(language(t))
	for _, name := range []string{"a b", "a\tb", "a\nb", "a\x00b"} {
		assert.EqualError(t, us.Set(name), "Usernames can't contain spaces or null characters", "%q", name)
	}
	for _, name := range []string{"bob", "", "Bob", "b\xff"} {
		assert.NoError(t, us.Set(name), "%q", name)
	}
	assert.Equal(t, []string{"", "Bob", "bob", "b\xff", "default"}, us.Names(), "in the order of their bytes")
}

func TestDelete(t *testing.T) {
	us := alice(t, "on")
	_, err := us.Delete("alice", "default")
	assert.EqualError(t, err, "The 'default' user cannot be removed")
	assert.NotNil(t, us.Find("alice"), "then nobody is")
	deleted, err := us.Delete("alice", "nobody", "alice")
	assert.NoError(t, err)
	assert.Equal(t, 1, deleted)
	assert.Nil(t, us.Find("alice"))
}

func TestDescribe(t *testing.T) {
	us := alice(t, "on >password &a %R&b ~k +publish (+ping) (allkeys &*)")
	assert.Equal(t, Description{
		Flags:     []string{"on", "sanitize-payload"},
		Passwords: []string{"5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"},
		Rights:    Rights{Commands: "-@all +publish", Keys: "~k", Channels: "&a %R&b"},
		Selectors: []Rights{{Commands: "-@all +ping"}, {Commands: "-@all", Keys: "~*", Channels: "&*"}},
	}, us.Find("alice").Describe())
}

func TestCategories(t *testing.T) {
	l := language(t)
	assert.Len(t, l.Categories(), 21)
	tests := map[string]string{
		"pubsub": "psubscribe publish pubsub|channels pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub pubsub|stats pubsub|why " +
			"punsubscribe spublish ssubscribe subscribe sunsubscribe unsubscribe",
		"Transaction": "discard exec multi unwatch watch",
		"blocking":    "wait waitaof xread xreadgroup",
		"stream": "read xack xackdel xadd xautoclaim xcfgset xclaim xdel xdelex xfence xgroup|create xgroup|createconsumer xgroup|delconsumer xgroup|destroy xgroup|help " +
			"xgroup|setid xinfo|consumers xinfo|groups xinfo|help xinfo|stream xlen xnack xpending xrange xread xreadgroup xrevrange xsetid xtrim",
		"keyspace": "dbsize del exists expire expireat expiretime flushall flushdb keys object|encoding object|help persist pexpire " +
			"pexpireat pexpiretime pttl scan touch ttl type unlink",
		"string": "",
	}
	for category, want := range tests {
		got, err := l.Cat(category)
		assert.NoError(t, err)
		assert.Equal(t, want, strings.Join(got, " "), category)
	}
	_, err := l.Cat("nosuch")
	assert.EqualError(t, err, "Unknown category 'nosuch'")
	assert.Equal(t, []string{"@pubsub", "@fast"}, l.Command("PUBLISH").Categories())
	assert.Same(t, l.Command("psubscribe"), l.Command("PSUB"))
	assert.Nil(t, l.Command("nosuch"))
	_, err = NewRegistry([]string{"ping", "nosuch"}, broker.Match)
	assert.ErrorContains(t, err, `"nosuch"`)
}

func TestTheTableFitsIntoACommandSet(t *testing.T) {
	l := language(t)
	assert.LessOrEqual(t, len(l.commands), 64*len(commandSet{}.bits))
	for _, c := range l.commands {
		assert.NotZero(t, c.categories, c.name)
		for _, category := range c.Categories() {
			assert.NotEqual(t, "@", category, c.name)
		}
	}
}

func TestGeneratedLength(t *testing.T) {
	for bits, digits := range map[int]int{1: 1, 4: 1, 5: 2, 256: 64, 4096: 1024} {
		got, err := GenPassLen(bits)
		assert.NoError(t, err)
		assert.Equal(t, digits, got, bits)
	}
	for _, bits := range []int{-1, 0, 4097} {
		_, err := GenPassLen(bits)
		assert.EqualError(t, err, "ACL GENPASS argument must be the number of bits for the output password, "+
			"a positive number up to 4096")
	}
}
