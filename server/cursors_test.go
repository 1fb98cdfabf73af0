package server_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// CURSOR LIST is a table for a person, and maps for a program. A position in use is not deleted.
func TestCursorsForPeopleAndPrograms(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c, typed := s.Dial(t), s.Dial(t)
	c.Command("CONFIG", "SET", "durable", "orders")
	c.Expect("+OK\r\n")
	typed.Send("CURSOR LIST\n")
	typed.Expect("OK CURSOR LIST 0\n")
	typed.Send("SUB orders FROM GROUP g\n")
	typed.Expect("OK SUB orders\n")
	typed.Send("CURSOR LIST\n")
	typed.Expect("OK CURSOR LIST 1\n")
	assert.Regexp(t, `^# group +topic +position +client$`, typed.Line())
	assert.Regexp(t, `^# g +orders +[a-f][0-9a-f]{15}-\d+ +\d+$`, typed.Line())
	c.Command("CURSOR", "DEL", "g", "orders")
	assert.Regexp(t, `^-ERR a client goes on from orders in the group g; end it first: CLIENT KILL ID \d+$`, c.Line())
	typed.Send("UNSUB orders\n")
	typed.Expect("OK UNSUB orders\n")
	c.Command("CURSOR", "LIST", "g")
	frame, err := c.Frame()
	assert.NoError(t, err)
	assert.Regexp(t, "^\\*1\r\n\\*8\r\n\\$5\r\ngroup\r\n\\$1\r\ng\r\n\\$5\r\ntopic\r\n\\$6\r\norders\r\n\\$8\r\nposition\r\n", string(frame))
	c.Command("CURSOR", "DEL", "g", "orders", "other")
	c.Expect(":1\r\n")
}
