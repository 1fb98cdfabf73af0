package acl

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Permissions of users, command by command. A key is a command with its arguments; the value is "yes", or the end of the
// denial's detail.
func TestJudge(t *testing.T) {
	const yes = "yes"
	run := func(command string) string { return "run the '" + command + "' command" }
	topic := func(name string) string { return "access the '" + name + "' channel" }
	tests := []struct {
		sentence, rules string
		want            map[string]string
	}{
		{"who has no rules may come in and go", "", map[string]string{
			"auth x": yes, "hello 3": yes, "quit": yes, "reset": yes, "help": yes,
			"ping": run("ping"), "publish a x": run("publish"), "client|id": run("client|id"),
		}},
		{"who may do everything", "+@all allchannels", map[string]string{
			"publish a x": yes, "pub a x": yes, "psubscribe *": yes, "psub h?llo": yes, "acl|setuser bob": yes, "ssubscribe a": yes,
		}},
		{"verbs are judged as commands", "+publish +subscribe &a", map[string]string{
			"pub a x": yes, "pub b x": topic("b"), "sub a": yes, "sub a b c": topic("b"),
			"psub a": run("psubscribe"), "unsub a": run("unsubscribe"),
		}},
		{"a topic needs its command too", "&a +ping", map[string]string{
			"publish a x": run("publish"), "subscribe a": run("subscribe"), "ping": yes,
		}},
		{"globs match topics", "+@pubsub &orders.* &user?", map[string]string{
			"publish orders.eu x": yes, "subscribe orders. user1": yes, "spublish orders.eu x": yes, "ssubscribe user1": yes,
			"publish order x": topic("order"), "subscribe user12": topic("user12"), "ssubscribe x": topic("x"),
			"publish orders.eu outside": yes, "subscribe orders.eu outside": topic("outside"),
			"unsubscribe outside": yes, "punsubscribe *": yes, "sunsubscribe outside": yes, "pubsub|channels *": yes,
		}},
		{"listening and publishing apart", "+@pubsub %R&news %W&tips &both", map[string]string{
			"subscribe news both": yes, "publish news x": topic("news"), "spublish news x": topic("news"),
			"subscribe tips": topic("tips"), "publish tips x": yes, "psubscribe tips": topic("tips"), "psubscribe news": yes,
			"subscribe both": yes, "publish both x": yes,
		}},
		{"listening to everything", "+@pubsub %R&*", map[string]string{
			"subscribe a b": yes, "psubscribe * h?llo [ab]*": yes, "publish a x": topic("a"),
		}},
		{"a glob must equal a granted one", "+@pubsub &h?llo* &[ab] &plain", map[string]string{
			"psubscribe h?llo* [ab] plain": yes, "psubscribe hello*": topic("hello*"), "psubscribe [a]": topic("[a]"),
			"psubscribe plain*": topic("plain*"), "psubscribe *": topic("*"),
		}},
		{"or lengthen a prefix", "+@pubsub &orders.*", map[string]string{
			"psubscribe orders.* orders.eu.* orders.* orders.eu": yes,
			"psubscribe order*": topic("order*"), "psubscribe orders.?": topic("orders.?"),
			"psubscribe orders.*.eu": topic("orders.*.eu"), "psubscribe orders.e?*": topic("orders.e?*"),
			"psubscribe orders.**": topic("orders.**"), `psubscribe orders.\**`: topic(`orders.\**`), "psubscribe *": topic("*"),
		}},
		{"a prefix with a set in it is none", "+@pubsub &orders.[a-z]*", map[string]string{
			"psubscribe orders.[a-z]*": yes, "psubscribe orders.a*": topic("orders.a*"), "psubscribe orders.[a-z]x*": topic("orders.[a-z]x*"),
		}},
		{"parents and children", "+client -client|kill +config|get", map[string]string{
			"client|id": yes, "client|kill x": run("client|kill"), "config|get *": yes, "config|set a b": run("config|set"),
		}},
		{"categories in order", "+@all -@dangerous +info &*", map[string]string{
			"publish a x": yes, "info": yes, "shutdown": run("shutdown"), "client|list": run("client|list"), "client|id": yes,
			"acl|whoami": yes, "acl|setuser bob": run("acl|setuser"), "acl|token create": run("acl|token"),
		}},
		{"a category takes children with their parent", "+@all -@slow &*", map[string]string{
			"publish a x": yes, "subscribe a": run("subscribe"), "client|id": run("client|id"), "ping": yes,
		}},
		{"a first argument", "-select +select|0 +echo|Hi", map[string]string{
			"select 0": yes, "select 1": run("select"), "select": run("select"), "echo hI": yes, "echo x": run("echo"),
		}},
		{"what only Redis has grants nothing", "+get +@string ~* allkeys +@write", map[string]string{
			"publish a x": run("publish"), "ping": run("ping"),
		}},
		{"selectors stand alone", "+publish &out (+subscribe %R&in) (+publish +psubscribe &x*)", map[string]string{
			"publish out m": yes, "subscribe in": yes, "publish x1 m": yes, "psubscribe x*": yes,
			"subscribe out": topic("out"), "publish in m": topic("in"), "subscribe x1": topic("x1"), "ping": run("ping"),
		}},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			u := alice(t, test.rules).Find("alice")
			for typed, want := range test.want {
				words := strings.Fields(typed)
				command := u.registry.Command(words[0])
				require.NotNil(t, command, typed)
				got := yes
				if r := u.Check(command, arguments(words[1:]), Keys{}); r != nil {
					got = strings.TrimPrefix(r.Detail(), "User alice has no permissions to ")
				}
				assert.Equal(t, want, got, typed)
			}
		})
	}
}

func arguments(words []string) [][]byte {
	return bytes.Fields([]byte(strings.Join(words, " ")))
}

func TestRefusalTexts(t *testing.T) {
	u := alice(t, "+publish").Find("alice")
	r := u.Check(u.registry.Command("sub"), arguments([]string{"a"}), Keys{})
	assert.Equal(t, &Denial{Reason: ReasonCommand, User: "alice", Object: "subscribe"}, r)
	assert.Equal(t, "User alice has no permissions to run the 'subscribe' command", r.Text())
	assert.Equal(t, r.Text(), r.Detail())

	r = u.Check(u.registry.Command("publish"), arguments([]string{"secret", "x"}), Keys{})
	assert.Equal(t, &Denial{Reason: ReasonChannel, User: "alice", Object: "secret"}, r)
	assert.Equal(t, "No permissions to access a channel", r.Text(), "the topic is not told")
	assert.Equal(t, "User alice has no permissions to access the 'secret' channel", r.Detail())

	r = u.Check(u.registry.Command("publish"), nil, Keys{Names: arguments([]string{"secret"})})
	assert.Equal(t, &Denial{Reason: ReasonKey, User: "alice", Object: "secret"}, r)
	assert.Equal(t, "No permissions to access a key", r.Text(), "the key is not told")
	assert.Equal(t, "User alice has no permissions to access the 'secret' key", r.Detail())
}

// A key is denied by its rights; the value is the denied object with its reason, or "yes".
func TestKeys(t *testing.T) {
	const yes = "yes"
	reading, writing, both, neither := Keys{Read: true}, Keys{Write: true}, Keys{Read: true, Write: true}, Keys{}
	tests := []struct {
		sentence, rules string
		keys            string
		reading         string
		writing         string
		both, neither   string
	}{
		{"no rule about keys grants none", "+get", "a", "key a", "key a", "key a", "key a"},
		{"all of them", "+get ~*", "a b", yes, yes, yes, yes},
		{"by another word", "+get allkeys", "a b", yes, yes, yes, yes},
		{"none any more", "+get ~* resetkeys", "a", "key a", "key a", "key a", "key a"},
		{"a glob grants both rights", "+get ~a*", "a ab", yes, yes, yes, yes},
		{"each key counts", "+get ~a*", "a b c", "key b", "key b", "key b", "key b"},
		{"to read", "+get %R~a", "a", yes, "key a", "key a", yes},
		{"to write", "+get %W~a", "a", "key a", yes, "key a", yes},
		{"two globs of one right are not one of both", "+get %R~a* %W~*a", "a", yes, yes, "key a", yes},
		{"the same glob twice is", "+get %R~a %W~a", "a", yes, yes, yes, yes},
		{"in either order", "+get %WR~a %rw~b", "a b", yes, yes, yes, yes},
		{"half of all is not all", "+get %R~*", "a", yes, "key a", "key a", yes},
		{"no key needs no right", "+get", "", yes, yes, yes, yes},
		{"a key needs its command", "~*", "a", "command get", "command get", "command get", "command get"},
		{"a selector grants its own", "+get ~a (+get %R~b)", "b", yes, "key b", "key b", yes},
		{"and shares no key with another", "+get ~a (+get ~b)", "a b", "key b", "key b", "key b", "key b"},
		{"nor a command", "+get ~a (+ping ~b)", "b", "key b", "key b", "key b", "key b"},
		{"the denial names the key that came furthest", "+get ~a (+get ~a ~b)", "a b c", "key c", "key c", "key c", "key c"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			u := alice(t, test.rules).Find("alice")
			for _, kind := range []struct {
				keys Keys
				want string
			}{{reading, test.reading}, {writing, test.writing}, {both, test.both}, {neither, test.neither}} {
				kind.keys.Names = arguments(strings.Fields(test.keys))
				got := yes
				if r := u.Check(u.registry.Command("get"), kind.keys.Names, kind.keys); r != nil {
					got = string(r.Reason) + " " + r.Object
				}
				assert.Equal(t, kind.want, got, "%+v", kind.keys)
			}
		})
	}
}

// As in Redis: the command first, then the keys, then the topics.
func TestADenialIsTheOneThatCameClosest(t *testing.T) {
	for rules, want := range map[string]string{
		"":                                 "command publish",
		"+publish":                         "key k",
		"+publish ~k":                      "channel c",
		"+publish (+publish ~k)":           "channel c",
		"+publish ~k (+publish)":           "channel c",
		"+publish &c (+publish ~k)":        "channel c",
		"+ping ~k &c (+publish)":           "key k",
		"+publish ~k (+publish &c)":        "channel c",
		"+publish &c (+publish &c ~other)": "key k",
	} {
		u := alice(t, rules).Find("alice")
		r := u.Check(u.registry.Command("publish"), arguments([]string{"c", "k"}), Keys{Names: arguments([]string{"k"}), Write: true})
		require.NotNil(t, r, rules)
		assert.Equal(t, want, string(r.Reason)+" "+r.Object, rules)
	}
}

func TestMissingArgumentsAreNotJudged(t *testing.T) {
	u := alice(t, "+@all").Find("alice")
	for _, name := range []string{"publish", "subscribe", "psubscribe", "select"} {
		assert.Nil(t, u.Check(u.registry.Command(name), nil, Keys{}), name)
	}
}

// After a change of rules, subscriptions without a right to them must be found.
func TestWhatMayStillBeHeld(t *testing.T) {
	tests := []struct{ sentence, rules, topics, notTopics, globs, notGlobs string }{
		{"everything", "&*", "a", "", "* a*", ""},
		{"nothing", "+@all", "", "a", "", "* a"},
		{"some", "&a* %R&b %W&c", "a ab b", "c d", "a* ab* b", "* c b*"},
		{"a pattern for one topic is allowed as that topic", `&a* &b?`, "ab b1", "c b", `ab a\*b a\ b1 b\1`, `[a] ?a c \c b1*`},
		{"a selector counts, whatever it may run", "(&a +ping)", "a", "b", "a", "*"},
		{"commands do not count", "&a -@all", "a", "b", "a", "*"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			u := alice(t, test.rules).Find("alice")
			for held, want := range map[string]bool{test.topics: true, test.notTopics: false} {
				for _, topic := range strings.Fields(held) {
					assert.Equal(t, want, u.MaySubscribe([]byte(topic)), topic)
				}
			}
			for held, want := range map[string]bool{test.globs: true, test.notGlobs: false} {
				for _, glob := range strings.Fields(held) {
					assert.Equal(t, want, u.MaySubscribePattern([]byte(glob)), glob)
				}
			}
		})
	}
}

func TestWhoMayDoAllNeedsNoJudge(t *testing.T) {
	for rules, all := range map[string]bool{
		"+@all &* ~*": true, "allcommands allchannels allkeys": true, "+@all ~*": false, "&* ~*": false, "+@all &* ~* -ping": false,
		"+@all %R&* ~*": false, "+@all &a ~*": false, "-@all (+@all &* ~*)": true, "+@all (&* ~*)": false, "+@all &* ~* -@all": false,
		"+@pubsub &* ~*": false, "+@all &* ~* resetchannels": false,
		"+@all &*": false, "+@all &* ~a": false, "+@all &* %R~*": false, "+@all &* ~* resetkeys": false, "+@all &* (~*)": false,
	} {
		assert.Equal(t, all, alice(t, rules).Find("alice").Unrestricted(), rules)
	}
}

func TestJudgingAllocatesNothing(t *testing.T) {
	u := alice(t, "+publish +subscribe &a &b.* ~a ~b.*").Find("alice")
	publish, args := u.registry.Command("publish"), arguments([]string{"b.c", "x"})
	assert.Zero(t, testing.AllocsPerRun(100, func() { u.Check(publish, args, Keys{Names: args[:1], Write: true}) }))
}
