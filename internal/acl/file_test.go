package acl

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const digest = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8" // of "password"

func TestLoad(t *testing.T) {
	tests := []struct{ sentence, file, want string }{
		{"the default user is added", "", "user default on nopass sanitize-payload ~* &* +@all"},
		{
			"a file of Redis", "user default off\n\nuser app on #" + digest + " ~cache:* resetchannels &orders.* -@all +@read +publish -get (~x +set)\r\n",
			"user app on sanitize-payload #" + digest + " ~cache:* resetchannels &orders.* -@all +@read +publish -get (~x resetchannels -@all +set)\n" +
				"user default off sanitize-payload resetchannels -@all",
		},
		{
			"spaces and tabs do not matter", "  user bob  on \t&a   +ping\t\nuser default reset\t\r\n \t\n",
			"user bob on sanitize-payload resetchannels &a -@all +ping\nuser default off sanitize-payload resetchannels -@all",
		},
		{"a byte order mark is skipped", "\ufeffuser default off", "user default off sanitize-payload resetchannels -@all"},
		{
			"a token stands below its user",
			"user default off\ntoken default ci #" + digest + " 2027-01-01T01:00:00.7+01:00\ntoken default a #" + digest + " 2026-12-31T00:00:00Z",
			"user default off sanitize-payload resetchannels -@all\ntoken default a #" + digest + " 2026-12-31T00:00:00Z\n" +
				"token default ci #" + digest + " 2027-01-01T00:00:00Z",
		},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			us := alice(t, "on nopass")
			require.NoError(t, us.Load("users.acl", []byte(test.file)))
			assert.Equal(t, test.want+"\n", string(us.Text()), "alice is gone")
			again := NewUsers(language(t))
			require.NoError(t, again.Load("users.acl", us.Text()))
			assert.Equal(t, string(us.Text()), string(again.Text()), "what was saved loads again")
		})
	}
}

func TestAFileWithAWrongLineChangesNothing(t *testing.T) {
	const user = "user bob on\n"
	tests := []struct{ sentence, file, want string }{
		{"a word, which may be a password", user + "user eve onn", "users.acl:2: '(a word of 3 letters, not shown)': Syntax error. "},
		{"a password with a space", user + "user eve >S3 CRÉTpw", "users.acl:2: '(a word of 6 letters, not shown)': Syntax error. "},
		{"one in a selector", user + "user eve (CRETpw >S3 on &a)", "users.acl:2: '((a word of 6 letters, not shown) >... on &a)': Syntax error. "},
		{"a line parted by tabs", user + "user\teve\t>S3\tCRETpw", "users.acl:2: 'user (a word of 3 letters, not shown) >... (a word of 6 letters, not shown)': should start with user keyword followed by the username. "},
		{"a rule parted by tabs", user + "user eve &a\tCRETpw", "users.acl:2: '&a (a word of 6 letters, not shown)': Syntax error. "},
		{"a sign", user + "user eve ~*  ~a %X~b", "users.acl:2: '~a': Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. " +
			"Try 'resetkeys' to start with an empty list of patterns. users.acl:2: '%X~b': Syntax error. "},
		{"an unknown command", user + "\n\nuser eve +get +nosuch +ping", "users.acl:4: '+nosuch': Unknown command or category name in ACL. "},
		{"another keyword", "usr bob", "users.acl:1: '(a word of 3 letters, not shown)': should start with user keyword followed by the username. "},
		{"a comment", user + "# bob", "users.acl:2: '#...': should start with user keyword followed by the username. "},
		{"no name", "user", "users.acl:1: 'user': should start with user keyword followed by the username. "},
		{"a tab in a name", "user a\tb on", "users.acl:1: 'a...': username contains invalid characters. "},
		{"a user twice", user + user, "users.acl:2: 'bob': Duplicate user found. "},
		{"a selector without end", "user bob (+get ~a", "users.acl:1: 'bob': Unmatched parenthesis in selector definition. "},
		{"a password is not shown", "user bob <secret", "users.acl:1: '<...': The password you are trying to remove from the user does not exist. "},
		{"nor what was meant as one", "user bob #secret", "users.acl:1: '#...': The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters. "},
		{"nor in a selector", "user bob (+get >secret)", "users.acl:1: '(+get >...': Syntax error. "},
		{"ten of many", strings.Repeat("user\n", 3000), faults("users.acl:%d: 'user': should start with user keyword followed by the username. ", 10) +
			"and 2990 more. "},
		{"a fault of any length", "user bob &" + strings.Repeat("a", 9000) + " &* &" + strings.Repeat("b", 9000),
			"users.acl:1: '&" + strings.Repeat("b", 127) + "': " + errAllChannels.Error() + ". "},
		{"everything that is wrong", "user bob onn &a\nuser eve offf\n", "users.acl:1: '(a word of 3 letters, not shown)': Syntax error. users.acl:2: '(a word of 4 letters, not shown)': Syntax error. "},
		{"a token of nobody", "token bob ci #" + digest + " 2027-01-01T00:00:00Z", "users.acl:1: 'ci': User 'bob' not found. "},
		{"a token without an end", user + "token bob ci #" + digest, "users.acl:2: 'token': a token is: token user name #sha256 expiry, the expiry as 2006-01-02T15:04:05Z. "},
		{"a token with a bad end", user + "token bob ci #" + digest + " soon", "users.acl:2: '(a word of 4 letters, not shown)': a token is: token user name #sha256 expiry, the expiry as 2006-01-02T15:04:05Z. "},
		{"a token with a secret", user + "token bob ci #hush 2027-01-01T00:00:00Z", "users.acl:2: '#...': The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters. "},
		{"a token twice", user + strings.Repeat("token bob ci #"+digest+" 2027-01-01T00:00:00Z\n", 2), "users.acl:3: 'ci': User 'bob' already has a token 'ci'. "},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			us := alice(t, "on >password &a")
			before, user := string(us.Text()), us.Find("alice")
			err := us.Load("users.acl", []byte(test.file))
			assert.EqualError(t, err, test.want+
				"WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
			assert.Equal(t, before, string(us.Text()))
			assert.Same(t, user, us.Find("alice"))
			var file *FileError
			require.ErrorAs(t, err, &file)
			assert.NotEmpty(t, file.Lines)
		})
	}
}

// faults returns the text of each error.
func faults(format string, lines int) string {
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, format, i+1)
	}
	return b.String()
}

func TestARequiredPasswordOutlivesAFileWithoutADefaultUser(t *testing.T) {
	us := NewUsers(language(t))
	password := Hash([]byte("password"))
	us.RequirePassword(&password)
	const required = "user default on sanitize-payload #" + digest + " ~* &* +@all\n"
	assert.Equal(t, required, string(us.Text()))
	require.NoError(t, us.Load("f", []byte("user bob on")))
	assert.Contains(t, string(us.Text()), required)
	require.NoError(t, us.Load("f", []byte("user default off")))
	assert.Equal(t, "user default off sanitize-payload resetchannels -@all\n", string(us.Text()), "what the file says holds")
	us.RequirePassword(nil)
	assert.True(t, us.Find("default").NoPassword())
}

// hostile are words and files that crash careless parsers.
var hostile = []string{
	"user alice on >pw ~* &* +@all", "user default reset", "user  on", "user a (", "user a ()", "user a ( )", "user a (+get",
	"user a (~a) ~b)", "user a (&x)) +publish", "user a )", "user a %RW~* ~b", "user a %R&* %W&* &b", "user a %W&* ~*",
	"user a +select|)", "user a (+select|0) +select|a|b", "user a +|", "user a +@", "user a -", "user a &", "user a ~ %R~",
	"user a +client|id|x", "user a #" + digest + " !" + digest, "user a\x00b", "user a &\xff\xfe", "user \u00a0 &\u00a0b (&\u0085c)",
	"user a\ntoken a b #" + digest + " 2027-01-01T00:00:00Z", "user a\ntoken a b #" + digest + " 9999-12-31T23:59:59-23:00",
	"user a\ntoken a b #" + digest + " 0000-01-01T00:00:00Z", "user \ntoken  b #" + digest + " 2027-01-01T00:00:00.5+01:00",
	"user a\tb", "user a \v+ping", "user a ('&b' \"~c d\")", "# x", "\x00", "\r\n\r\n", "user a &b\rc",
}

func FuzzLoad(f *testing.F) {
	for _, text := range hostile {
		f.Add([]byte(text))
	}
	l := language(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		us := NewUsers(l)
		require.NoError(t, us.Set("alice", "on", "&a"))
		before := string(us.Text())
		if us.Load("f", text) != nil {
			assert.Equal(t, before, string(us.Text()), "a failed load changes nothing")
			return
		}
		assert.NotNil(t, us.Find(DefaultUser))
		saved := string(us.Text())
		require.NoError(t, us.Load("f", []byte(saved)), "what was saved loads again")
		assert.Equal(t, saved, string(us.Text()))
	})
}

func FuzzSetUser(f *testing.F) {
	for _, text := range hostile {
		_, rules, _ := strings.Cut(text, "user a")
		f.Add("a", rules, "publish", "topic")
	}
	f.Add("", "on\n(+publish &b c)\n>a b", "subscribe", "b")
	f.Add("default", "&a\nresetchannels\n%r&A*", "psubscribe", "A*")
	l := language(f)
	f.Fuzz(func(t *testing.T, name, rules, command, topic string) {
		us := NewUsers(l)
		before := string(us.Text())
		words := strings.FieldsFunc(rules, func(r rune) bool { return r == '\n' || r == ' ' && len(rules)%2 == 0 })
		if us.Set(name, words...) != nil {
			require.Equal(t, before, string(us.Text()), "a failed change changes nothing")
			return
		}
		u := us.Find(name)
		saved := string(us.Text())
		require.NoError(t, us.Load("f", []byte(saved)), "%q", saved)
		require.Equal(t, saved, string(us.Text()))
		if c := l.Command(command); c != nil {
			args := [][]byte{[]byte(topic)}
			keys := Keys{Names: args, Read: len(topic)%2 == 0, Write: len(topic)%3 == 0}
			assert.Equal(t, u.Check(c, args, keys), us.Find(name).Check(c, args, keys), "a saved user may do the same")
		}
	})
}
