package protocol

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCommandsAreSound(t *testing.T) {
	seen := make(map[string]bool)
	for _, spec := range Commands {
		t.Run(spec.Name, func(t *testing.T) {
			assert.False(t, seen[spec.Name], "twice in the table")
			seen[spec.Name] = true
			assert.Less(t, len(spec.Name), maxNameLen)
			assert.NotZero(t, spec.Arity)
			assert.NotEmpty(t, spec.Summary)
			assert.True(t, strings.HasPrefix(spec.Usage, spec.Name), spec.Usage)
			assert.Equal(t, spec.Container, len(spec.Subcommands()) > 0)
			if spec.Syntax != ArgsInline {
				assert.Contains(t, strings.Join(HelpLines(), "\n"), spec.Usage)
			}
			if !strings.Contains(spec.Name, " ") {
				assert.Same(t, spec, Lookup([]byte(spec.Name)))
				assert.Same(t, spec, Lookup([]byte(strings.ToLower(spec.Name))))
			}
		})
	}
}

func TestResolve(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, tt := range []struct{ in, spec, want string }{
		{"PING", "PING", ""},
		{"client id", "CLIENT ID", ""},
		{"CLIENT", "CLIENT", "ERR wrong number of arguments for 'client' command"},
		{"CLIENT ID x", "CLIENT ID", "ERR wrong number of arguments for 'client|id' command"},
		{"CLIENT FOO", "", "ERR unknown subcommand 'FOO'. Try CLIENT HELP."},
		{"PUBLISH a", "PUBLISH", "ERR wrong number of arguments for 'publish' command"},
		{"SUBSCRIBE", "SUBSCRIBE", "ERR wrong number of arguments for 'subscribe' command"},
		{"GET a", "", "ERR unknown command 'GET', with args beginning with: 'a' "},
		{"Foo", "", "ERR unknown command 'Foo', with args beginning with: "},
		{"foo " + long + " b", "", "ERR unknown command 'foo', with args beginning with: '" + long[:128] + "' "},
		{long, "", "ERR unknown command '" + long[:128] + "', with args beginning with: "},
		{"PUB a", "PUB", "ERR wrong number of arguments for 'pub' command"},
		{"PUB a b c", "PUB", "ERR wrong number of arguments for 'pub' command"},
		{"SUB a LAST", "SUB", "ERR LAST needs a position behind it, such as FROM 0 or LAST 10; type: SUB topic [topic ...]"},
		{"PUB a LAST", "PUB", ""},
		{"SUBSCRIBE LAST", "SUBSCRIBE", ""},
	} {
		t.Run(fmt.Sprintf("%.30s", tt.in), func(t *testing.T) {
			r := NewReader(Limits{})
			c, _, ok, fatal := r.take([]byte(bulks(strings.Fields(tt.in)...)), nil)
			require.Nil(t, fatal)
			require.True(t, ok)
			spec, err := c.Resolve()
			if tt.spec == "" {
				assert.Nil(t, spec)
			} else {
				require.NotNil(t, spec)
				assert.Equal(t, tt.spec, spec.Name)
			}
			if tt.want == "" {
				assert.Nil(t, err)
			} else {
				assert.EqualError(t, err, tt.want)
			}
		})
	}
}

// A mistyped word in a line gets what to type next. Over RESP the error is that of Redis, to the letter.
func TestAMistypedWordInALine(t *testing.T) {
	for line, want := range map[string]string{
		"SUBB news\n":                         "ERR unknown command 'SUBB'; type: HELP",
		"nosuch\r\n":                          "ERR unknown command 'nosuch'; type: HELP",
		strings.Repeat("x", 200) + " 'a b'\n": "ERR unknown command '" + strings.Repeat("x", 128) + "'; type: HELP",
	} {
		var c Command
		_, ok, fatal := NewReader(Limits{}).Next(&c, []byte(line), nil)
		require.Nil(t, fatal)
		require.True(t, ok)
		_, err := c.Resolve()
		assert.EqualError(t, err, want)
	}
}

// A container of conch's own names its subcommands if it stands alone; those of Redis have the error of Redis.
func TestContainersAlone(t *testing.T) {
	for line, want := range map[string]string{
		"LOG\n":                  "ERR LOG needs a subcommand; type: LOG BACKUP, LOG COMPACT, LOG STATUS or LOG HELP",
		"*1\r\n$6\r\ncursor\r\n": "ERR CURSOR needs a subcommand; type: CURSOR DEL, CURSOR LIST or CURSOR HELP",
		"ACL\n":                  "ERR wrong number of arguments for 'acl' command",
		"LOG STATUS x\n":         "ERR wrong number of arguments for 'log|status' command",
	} {
		var c Command
		_, ok, fatal := NewReader(Limits{}).Next(&c, []byte(line), nil)
		require.Nil(t, fatal)
		require.True(t, ok)
		_, err := c.Resolve()
		assert.EqualError(t, err, want)
	}
}

// Errors quote arguments as Redis does: up to the first NUL, with CR and LF as spaces.
func TestQuotedArguments(t *testing.T) {
	args := [][]byte{[]byte("fo\r\no\x00x"), []byte("a\nb"), []byte("\x00c"), []byte("d\r\n")}
	assert.EqualError(t, ErrUnknownCommand(args), "ERR unknown command 'fo  o', with args beginning with: 'a b' '' 'd  ' ")
	assert.EqualError(t, ErrUnknownSubcommand("CLIENT", args[0]), "ERR unknown subcommand 'fo  o'. Try CLIENT HELP.")
	assert.EqualError(t, ErrSubcommandSyntax("CLIENT", args[0]), "ERR unknown subcommand or wrong number of arguments for 'fo  o'. Try CLIENT HELP.")
	assert.Equal(t, "fo\r\no\x00x", string(args[0]), "what was quoted stays as it is")
}

func TestHostile(t *testing.T) {
	for _, line := range []string{"POST / HTTP/1.1", "post x", "Host: localhost"} {
		r := NewReader(Limits{})
		c, _, ok, err := r.take([]byte(line+"\r\n"), nil)
		require.True(t, ok)
		require.Nil(t, err)
		assert.True(t, c.LooksLikeHTTP(), line)
	}
}
