package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// bodies are valid bodies of the requests that need one.
var bodies = map[string]string{
	"PATCH /users/{user}": `{"rules": ["on"]}`,
	"POST /tokens":        `{"user": "other", "token": "t", "seconds": 60}`,
}

// queries are the parameters that a request needs.
var queries = map[string]string{"/events": "?topic=news"}

// Each route needs the right in its row, and no other: the user with this right alone gets an answer, the user with all
// but this is refused, and so is a client without a user.
func TestRights(t *testing.T) {
	s := start(t, server.Options{RequirePassword: "secret"}, web.Options{Debug: true})
	admin := s.Dial(t)
	admin.Send("AUTH secret\n")
	admin.Expect("+OK\r\n")
	admin.Command("ACL", "SETUSER", "other", "on", ">pw")
	admin.Expect("+OK\r\n")
	path := strings.NewReplacer("{topic}", "news", "{id}", "999999", "{user}", "other", "{token}", "t", "{profile}", "heap")
	for _, row := range web.Routes() {
		method, right := row[0], row[2]
		if right == "" {
			continue
		}
		t.Run(method+" "+row[1], func(t *testing.T) {
			admin.Command("ACL", "SETUSER", "with", "reset", "on", ">pw", "&*", "+"+right)
			admin.Expect("+OK\r\n")
			admin.Command("ACL", "SETUSER", "without", "reset", "on", ">pw", "&*", "+@all", "-"+right)
			admin.Expect("+OK\r\n")
			for user, refused := range map[string]bool{"without": true, "with": false, "": true} {
				r, err := http.NewRequestWithContext(t.Context(), method, s.url+path.Replace(row[1])+queries[row[1]], strings.NewReader(bodies[method+" "+row[1]]))
				require.NoError(t, err)
				r.Header.Set("Content-Type", "application/json")
				if user != "" {
					r.SetBasicAuth(user, "pw")
				}
				response, err := s.client.Do(r)
				require.NoError(t, err)
				_ = response.Body.Close() // without reading it: a stream does not end
				denied := response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusUnauthorized
				assert.Equal(t, refused, denied, "user %q: %s", user, response.Status)
			}
		})
	}
}
