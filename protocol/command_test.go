package protocol

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTableIsSound(t *testing.T) {
	seen := make(map[string]bool)
	for _, row := range Table {
		t.Run(row.Name, func(t *testing.T) {
			assert.False(t, seen[row.Name], "twice in the table")
			seen[row.Name] = true
			assert.Less(t, len(row.Name), longest)
			assert.NotZero(t, row.Arity)
			assert.NotEmpty(t, row.Summary)
			assert.True(t, strings.HasPrefix(row.Usage, row.Name), row.Usage)
			assert.Equal(t, row.Parent, len(row.Subcommands()) > 0)
			if row.Shape != ShapeRedis {
				assert.Contains(t, strings.Join(HelpLines(), "\n"), row.Usage)
			}
			if !strings.Contains(row.Name, " ") {
				assert.Same(t, row, Find([]byte(row.Name)))
				assert.Same(t, row, Find([]byte(strings.ToLower(row.Name))))
			}
		})
	}
}

func TestResolve(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, tt := range []struct{ in, row, want string }{
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
		{"SUB a LAST", "SUB", "ERR LAST is reserved and cannot be a topic here; type: SUB topic [topic ...]"},
		{"PUB a LAST", "PUB", ""},
		{"SUBSCRIBE LAST", "SUBSCRIBE", ""},
	} {
		t.Run(fmt.Sprintf("%.30s", tt.in), func(t *testing.T) {
			r := NewReader(Limits{})
			c, _, ok, fatal := r.take([]byte(bulks(strings.Fields(tt.in)...)), nil)
			require.Nil(t, fatal)
			require.True(t, ok)
			row, err := c.Resolve()
			if tt.row == "" {
				assert.Nil(t, row)
			} else {
				require.NotNil(t, row)
				assert.Equal(t, tt.row, row.Name)
			}
			if tt.want == "" {
				assert.Nil(t, err)
			} else {
				assert.EqualError(t, err, tt.want)
			}
		})
	}
}

// Errors show arguments as Redis does: up to the first NUL, with CR and LF as spaces.
func TestQuotedArguments(t *testing.T) {
	args := [][]byte{[]byte("fo\r\no\x00x"), []byte("a\nb"), []byte("\x00c"), []byte("d\r\n")}
	assert.EqualError(t, ErrorUnknown(args), "ERR unknown command 'fo  o', with args beginning with: 'a b' '' 'd  ' ")
	assert.EqualError(t, ErrorSubcommand("CLIENT", args[0]), "ERR unknown subcommand 'fo  o'. Try CLIENT HELP.")
	assert.EqualError(t, ErrorSyntax("CLIENT", args[0]), "ERR unknown subcommand or wrong number of arguments for 'fo  o'. Try CLIENT HELP.")
	assert.Equal(t, "fo\r\no\x00x", string(args[0]), "what was quoted stays as it is")
}

func TestHostile(t *testing.T) {
	for _, line := range []string{"POST / HTTP/1.1", "post x", "Host: localhost"} {
		r := NewReader(Limits{})
		c, _, ok, err := r.take([]byte(line+"\r\n"), nil)
		require.True(t, ok)
		require.Nil(t, err)
		assert.True(t, c.Hostile(), line)
	}
}
