package web_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

func bearer(token string) option { return header("Authorization", "Bearer "+token) }

func TestARequestIsItsUser(t *testing.T) {
	s := start(t, server.Options{RequirePassword: "secret"}, web.Options{})
	c := s.Dial(t)
	c.Send("AUTH secret\n")
	c.Expect("+OK\r\n")
	c.Command("ACL", "SETUSER", "ann", "on", ">pw", "&news", "+publish")
	c.Expect("+OK\r\n")
	c.Command("ACL", "TOKEN", "CREATE", "ann", "laptop", "60")
	frame, err := c.Frame()
	require.NoError(t, err)
	token := string(frame[len("$64\r\n") : len(frame)-2])
	for _, test := range []struct {
		name   string
		given  option
		topic  string
		status int
	}{
		{"no password", func(*http.Request) {}, "news", 401},
		{"the default user's password", basic("default", "secret"), "news", 200},
		{"no name is the default user", basic("", "secret"), "news", 200},
		{"a wrong password", basic("default", "wrong"), "news", 401},
		{"no such user", basic("bob", "pw"), "news", 401},
		{"a user", basic("ann", "pw"), "news", 200},
		{"a topic without a right", basic("ann", "pw"), "secrets", 403},
		{"a token as a password", basic("ann", token), "news", 200},
		{"a token", bearer(token), "news", 200},
		{"a token, and a topic without a right", bearer(token), "secrets", 403},
		{"no such token", bearer("0123"), "news", 401},
		{"a password is no token", bearer("pw"), "news", 401},
		{"an unknown scheme", header("Authorization", "Digest x"), "news", 401},
		{"no base64", header("Authorization", "Basic ???"), "news", 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := s.request("POST", "/topics/"+test.topic, "x", test.given)
			require.Equal(t, test.status, a.StatusCode, a.body)
			if test.status == http.StatusUnauthorized {
				assert.Len(t, a.Header.Values("WWW-Authenticate"), 2)
			}
			if test.status != http.StatusOK {
				s.expectProblem(a, test.status)
			}
		})
	}
	c.Command("ACL", "TOKEN", "REVOKE", "ann", "laptop")
	c.Expect("+OK\r\n")
	assert.Equal(t, http.StatusUnauthorized, s.request("POST", "/topics/news", "x", bearer(token)).StatusCode)
}
