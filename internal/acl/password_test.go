package acl

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAuthenticate(t *testing.T) {
	us := alice(t, "on >first >second")
	for name, rules := range map[string]string{"bob": "on nopass", "off": "off >first", "none": "on", "many": "on >1 >2 >3 >4"} {
		require.NoError(t, us.Set(name, strings.Fields(rules)...))
	}
	for _, name := range []string{"alice", "bob", "off"} {
		require.NoError(t, us.CreateToken(name, "ci", Hash([]byte("token")), now.Add(time.Second)))
		require.NoError(t, us.CreateToken(name, "old", Hash([]byte("expired")), now))
	}
	tests := []struct {
		sentence, user, password string
		ok                       bool
		token                    string
	}{
		{"any of the passwords", "alice", "first", true, ""},
		{"any, the last too", "alice", "second", true, ""},
		{"no other", "alice", "third", false, ""},
		{"not the empty one", "alice", "", false, ""},
		{"not a digest", "alice", digest, false, ""},
		{"a token", "alice", "token", true, "ci"},
		{"from its expiry on none", "alice", "expired", false, ""},
		{"nopass takes any", "bob", "anything", true, ""},
		{"and still knows a token", "bob", "token", true, "ci"},
		{"but no expired one", "bob", "expired", true, ""},
		{"a user that is off is absent", "off", "first", false, ""},
		{"with its tokens", "off", "token", false, ""},
		{"a user without passwords", "none", "", false, ""},
		{"nobody", "nobody", "first", false, ""},
		{"names have a letter case", "Alice", "first", false, ""},
		{"the fourth of four", "many", "4", true, ""},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			u, token, ok := us.Authenticate(test.user, Hash([]byte(test.password)), now)
			assert.Equal(t, test.ok, ok)
			if test.token == "" {
				assert.Nil(t, token)
			} else {
				assert.Equal(t, test.token, token.Name)
			}
			if ok {
				assert.Same(t, us.Find(test.user), u)
			} else {
				assert.Nil(t, u)
			}
		})
	}
}

// Only the number of comparisons could reveal by time which users exist.
func TestEverybodyIsComparedAsOften(t *testing.T) {
	us := alice(t, "on >1 >2")
	require.NoError(t, us.CreateToken("alice", "ci", Hash(nil), now))
	assert.Equal(t, 3, us.maxSecrets)
	require.NoError(t, us.Set("alice", "resetpass"))
	assert.Equal(t, 3, us.maxSecrets)
	require.NoError(t, us.Load("f", []byte("user bob >1")))
	assert.Equal(t, 1, us.maxSecrets)
}

func TestTokens(t *testing.T) {
	us := alice(t, "on >password")
	secret := Hash([]byte("secret"))
	create := func(user, name string, after time.Duration) error {
		return us.CreateToken(user, name, secret, now.Add(after))
	}
	_, ok := us.NextExpiry()
	assert.False(t, ok, "there are none")

	require.NoError(t, create("alice", "b", 2*time.Hour+time.Millisecond))
	require.NoError(t, create("alice", "a", time.Hour))
	require.NoError(t, create("default", "a", 3*time.Hour), "names are unique per user")
	assert.EqualError(t, create("alice", "a", time.Hour), "User 'alice' already has a token 'a'")
	assert.EqualError(t, create("bob", "a", time.Hour), "User 'bob' not found")
	for _, name := range []string{"", "a b", "a\tb", "a\nb", "a\x00", "a\x7f", strings.Repeat("x", 129)} {
		assert.ErrorIs(t, create("alice", name, time.Hour), errTokenName, "%q", name)
	}
	assert.ErrorIs(t, us.CreateToken("alice", "c", secret, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)), errTokenExpiry)
	assert.ErrorIs(t, us.CreateToken("alice", "c", secret, time.Time{}.Add(-time.Second)), errTokenExpiry)

	tokens := us.Find("alice").Tokens()
	require.Len(t, tokens, 2)
	assert.Equal(t, "a", tokens[0].Name)
	assert.Equal(t, now.Add(2*time.Hour), tokens[1].Expires, "to the second")

	next, ok := us.NextExpiry()
	assert.True(t, ok)
	assert.Equal(t, now.Add(time.Hour), next)
	assert.True(t, us.Find("alice").HasToken(&tokens[0], next.Add(-1)))
	assert.False(t, us.Find("alice").HasToken(&tokens[0], next))
	assert.False(t, us.Find("alice").HasToken(&Token{Name: "a", digest: Hash([]byte("other"))}, next.Add(-1)), "another secret")
	assert.Empty(t, us.ExpireTokens(next.Add(-1)))
	assert.Equal(t, []TokenName{{"alice", "a"}}, us.ExpireTokens(next))
	assert.Equal(t, []TokenName{{"alice", "b"}, {"default", "a"}}, us.ExpireTokens(now.Add(24*time.Hour)))
	_, ok = us.NextExpiry()
	assert.False(t, ok)
}

func TestRevokeToken(t *testing.T) {
	us := alice(t, "on")
	require.NoError(t, us.CreateToken("alice", "ci", Hash([]byte("s")), now.Add(time.Hour)))
	assert.EqualError(t, us.RevokeToken("alice", "nope"), "User 'alice' has no token 'nope'")
	assert.EqualError(t, us.RevokeToken("bob", "ci"), "User 'bob' not found")
	require.NoError(t, us.RevokeToken("alice", "ci"))
	_, _, ok := us.Authenticate("alice", Hash([]byte("s")), now)
	assert.False(t, ok)
}

func TestWhoIsLockedOutLosesTokensToo(t *testing.T) {
	for _, rule := range []string{"resetpass", "nopass", "reset"} {
		us := alice(t, "on")
		require.NoError(t, us.CreateToken("alice", "ci", Hash([]byte("s")), now.Add(time.Hour)))
		require.NoError(t, us.Set("alice", "&a", "+ping", "off"))
		assert.Len(t, us.Find("alice").Tokens(), 1, "other rules leave tokens alone")
		require.NoError(t, us.Set("alice", rule))
		assert.Empty(t, us.Find("alice").Tokens(), rule)
	}
}
