//go:build soak

package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"

	"github.com/conchmq/conch/internal/harness"
)

const password = "sesame"

// userRules are the users of the server. Half of the subscribers and publishers of a round are users that may do what they
// do, and nothing else.
const userRules = `user default on nopass &* +@all
user reader on >` + password + ` resetchannels %R&soak:* +subscribe +psubscribe +client|slow +client|id +hello +ping
user writer on >` + password + ` resetchannels %W&soak:* +publish
`

// asWriter makes a connection that of the user writer, which may not publish to other topics.
func (r *round) asWriter(w *wire) bool {
	answer, err := w.ask(harness.RESP("AUTH", "writer", password))
	if err != nil {
		return false
	}
	if answer != "+OK\r\n" {
		r.report.fail("round %d: AUTH writer was answered %q", r.number, answer)
		return false
	}
	r.report.add(rowUsers, 1)
	if answer, err = w.ask(harness.RESP("PUBLISH", "other", "x")); err != nil {
		return false
	}
	if !strings.HasPrefix(answer, "-NOPERM ") {
		r.report.fail("round %d: a publish without the right was answered %q", r.number, answer)
	}
	r.report.add(rowDenied, 1)
	return true
}

// revoke makes a user, subscribes as that user, takes away what the subscription rests on, and expects the connection's end.
func (s *run) revoke(_ context.Context, rng *rand.Rand) {
	generation := s.target.generation.Load()
	admin, err := s.dial(direct)
	if err != nil {
		return
	}
	defer admin.shut()
	name := fmt.Sprintf("guest-%d", rng.Uint32())
	if _, err := admin.ask(harness.RESP("ACL", "SETUSER", name, "on", ">"+password, "resetchannels", "&guest:*", "+subscribe")); err != nil {
		return
	}
	secret, end := password, harness.RESP("ACL", "DELUSER", name)
	switch rng.IntN(3) {
	case 0:
		end = harness.RESP("ACL", "SETUSER", name, "resetchannels", "&other:*") + harness.RESP("ACL", "DELUSER", name)
	case 1:
		token, err := admin.ask(harness.RESP("ACL", "TOKEN", "CREATE", name, "laptop", "600"))
		if err != nil {
			return
		}
		lines := strings.Split(strings.TrimSpace(token), "\r\n")
		secret, end = lines[len(lines)-1], harness.RESP("ACL", "TOKEN", "REVOKE", name, "laptop")+end
	}
	guest, err := s.dial([]way{direct, local, secure}[rng.IntN(3)])
	if err != nil {
		return
	}
	defer guest.shut()
	for _, command := range []string{harness.RESP("AUTH", name, secret), harness.RESP("SUBSCRIBE", "guest:1")} {
		if answer, err := guest.ask(command); err != nil || strings.HasPrefix(answer, "-") {
			s.unlessRestarting(generation, "a guest was answered %q: %v", answer, err)
			return
		}
	}
	if admin.send(end) != nil {
		return
	}
	for err == nil {
		_, err = guest.frame()
	}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		s.unlessRestarting(generation, "a subscriber without its right stays connected")
		return
	}
	s.report.add(rowRevoked, 1)
}
