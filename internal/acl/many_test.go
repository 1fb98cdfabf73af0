package acl

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// steps is the number of items that the lists of a user have visited or moved.
func steps(u *User) int {
	n := u.passwords.steps
	for i := range u.selectors {
		s := &u.selectors[i]
		n += s.commands.rules.steps + s.channels.list.steps + s.keys.list.steps
	}
	return n
}

// rulesOf returns n rules. It replaces each N by a number that repeats after a period.
func rulesOf(n, round int, words ...string) []string {
	var rules []string
	for i := range n {
		rules = append(rules, strings.ReplaceAll(words[i%len(words)], "N", strconv.Itoa(i/len(words)%round)))
	}
	return rules
}

// Comparing each rule with all before takes quadratic time: 95,000 rules would block the core for eight seconds.
func TestManyRulesTakeStepsInProportion(t *testing.T) {
	const n = 100_000
	for name, rules := range map[string][]string{
		"topics":                        rulesOf(n, 9000, "&N"),
		"keys and rights apart":         rulesOf(n, 4000, "%R~N", "%W&N"),
		"passwords":                     rulesOf(n, 900, ">N"),
		"passwords that come and go":    append(rulesOf(900, 900, ">N"), rulesOf(n, 900, "<N", ">N")...),
		"first arguments":               rulesOf(n, 9000, "+select|N"),
		"first arguments that go":       rulesOf(n, 9000, "+select|N", "+@read", "-select"),
		"commands that come and go":     rulesOf(n, 9000, "+get", "-get", "+client|id", "-client"),
		"patterns and no patterns":      rulesOf(n, 9000, "&N", "&N", "resetchannels"),
		"selectors with a few patterns": rulesOf(900, 900, "(&N &aN &bN)"),
	} {
		us := NewUsers(language(t))
		require.NoError(t, us.Set("alice", rules...), name)
		assert.Less(t, steps(us.Find("alice")), 4*n, name)
	}
}

func TestAListKeepsItsOrder(t *testing.T) {
	us := alice(t, "+select|1 +select|2 +get +select|1 -@read +select|3 -get &a &b &c >1 >2 >3 <1 >1")
	u := us.Find("alice")
	assert.Equal(t, "-@all +select|2 +select|1 -@read +select|3 -get", u.Describe().Commands)
	assert.Equal(t, "&a &b &c", u.Describe().Channels)
	assert.Equal(t, []string{Hash([]byte("2")).String(), Hash([]byte("3")).String(), Hash([]byte("1")).String()}, u.Describe().Passwords)
	require.NoError(t, us.Set("alice", "+select"))
	assert.Equal(t, "-@all -@read -get +select", us.Find("alice").Describe().Commands)
	assert.Equal(t, "-@all +select|2 +select|1 -@read +select|3 -get", u.Describe().Commands, "who was handed out does not change")
}

func TestAUserIsBounded(t *testing.T) {
	for text, rules := range map[string][]string{
		"A user can have at most 1000 passwords and tokens":           rulesOf(1001, 2000, ">N"),
		"A user can have at most 1000 selectors":                      rulesOf(1001, 2000, "(&N)"),
		"A user can have at most 10000 patterns of channels and keys": rulesOf(10_001, 9000, "&N", "~N"),
		"A user can have at most 10000 rules about commands":          rulesOf(10_001, 11_000, "+select|N"),
	} {
		us := NewUsers(language(t))
		assert.ErrorContains(t, us.Set("alice", rules...), text)
		assert.Nil(t, us.Find("alice"))
		assert.NoError(t, us.Set("alice", rules[1:]...), "one fewer is possible")
		saved := us.Text()
		require.NoError(t, us.Load("f", saved))
		assert.Equal(t, string(saved), string(us.Text()))
		line := "user bob"
		for _, rule := range rules {
			line += " " + rule
		}
		assert.ErrorContains(t, us.Load("f", []byte(line)), text)
	}
}

func TestTokensAreBoundedToo(t *testing.T) {
	us := alice(t, "on >1")
	for i := range maxPasswords - 1 {
		require.NoError(t, us.CreateToken("alice", fmt.Sprint(i), Hash(nil), now.Add(time.Duration(i%2)*time.Hour)))
	}
	assert.EqualError(t, us.CreateToken("alice", "more", Hash(nil), now), errManyPasswords.Error())
	u := us.Find("alice")
	assert.Len(t, us.ExpireTokens(now), 500)
	assert.Len(t, us.Find("alice").Tokens(), 499)
	assert.Len(t, u.Tokens(), 999, "who was handed out does not change")
	assert.NoError(t, us.CreateToken("alice", "more", Hash(nil), now))
}
