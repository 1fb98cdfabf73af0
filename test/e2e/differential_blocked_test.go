//go:build e2e

package e2e

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// doBlocked plays a step whose connection may be blocked until another one has sent something. If that does not wake it,
// CLIENT UNBLOCK does.
func (sc *scene) doBlocked(actor *diffConn, s step) [][]frame {
	waker := sc.conns[s.waker]
	if waker.closed {
		waker = sc.server.dial()
		sc.conns[s.waker] = waker
	}
	if waker == actor || waker.queueing {
		return nil
	}
	sc.send(actor, s)
	var tokens []string
	if !sc.blocked(actor) {
		tokens = actor.fence()
	}
	woken := sc.wake(waker, s.waking)
	if sc.server.isNode {
		sc.server.control.ask("DEL", "no such key") // it comes behind what was proposed
	}
	woken = append(woken, sc.server.control.ask("CLIENT", "UNBLOCK", strconv.FormatInt(actor.id, 10)))
	answers := make([][]frame, len(sc.conns))
	answers[s.waker] = sc.comparable(framesOf(woken), false)
	answers[s.conn] = sc.comparable(framesOf(append(tokens, actor.fence()...)), false)
	for i, c := range sc.conns {
		if c != actor && c != waker && !c.closed {
			answers[i] = sc.comparable(framesOf(c.fence()), false)
		}
	}
	return answers
}

// wake sends what may wake a connection. On a node a client that waits sees all changes of an entry at once, so each command is one there.
func (sc *scene) wake(by *diffConn, commands []command) (tokens []string) {
	if !sc.server.isNode || (step{commands: commands}).lastOfTransaction() != "" {
		sc.send(by, step{commands: commands})
		return by.fence()
	}
	for _, c := range commands {
		sc.send(by, step{commands: []command{c}})
		tokens = append(tokens, by.fence()...)
	}
	return tokens
}

// blocked waits until a connection is blocked, or has got an answer and so is not.
func (sc *scene) blocked(c *diffConn) bool {
	for began := time.Now(); !c.answered(); {
		list := sc.server.control.ask("CLIENT", "LIST", "ID", strconv.FormatInt(c.id, 10))
		_, flags, _ := strings.Cut(list, " flags=")
		if flags, _, _ = strings.Cut(flags, " "); strings.Contains(flags, "b") {
			return true
		}
		require.Less(sc.server.t, time.Since(began), patience, "neither blocked nor answered: %s", list)
	}
	return false
}

// answered tells whether something has come in, or the end.
func (c *diffConn) answered() bool {
	_ = c.sock.SetReadDeadline(time.Now().Add(time.Millisecond)) // fails on a closed socket, as the read then does
	_, err := c.in.Peek(1)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}
