package command

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readInto counts the lines that come.
func (p *pipe) readInto(lines *atomic.Int32) {
	for {
		if _, err := p.from.ReadString('\n'); err != nil {
			return
		}
		lines.Add(1)
	}
}

// send writes a line, and does not wait for its answer.
func (p *pipe) send(line string) {
	p.t.Helper()
	_, err := fmt.Fprintln(p.sock, line)
	require.NoError(p.t, err)
}

// Predicates are compiled and evaluated in a place each, and as many places are taken as there are.
func TestAsManyEvaluateAsThereArePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := servePipes(t, 6)
		e := &all[0].service.evaluators
		e.held = make(chan struct{}, 2)
		all[0].say("SUB orders WHERE n == 1")
		e.held <- struct{}{} // both places are in use
		e.held <- struct{}{}
		var answers atomic.Int32
		for i, line := range []string{"SUB orders WHERE n == 2", "PUB orders x", "PUB orders x", "PUB orders x", "SUB orders WHERE n == 3", "PUB orders x"} {
			go all[i].readInto(&answers)
			all[i].send(line)
		}
		synctest.Wait()
		assert.Equal(t, int32(0), answers.Load(), "no place is free")
		assert.Equal(t, int32(6), e.waiting.Load(), "two compile, four evaluate")
		e.release()
		synctest.Wait()
		assert.Equal(t, int32(6), answers.Load(), "one place serves them all, one after the other")
		assert.Len(t, e.held, 1)
		assert.Zero(t, e.waiting.Load())
		e.release()
	})
}

// A long evaluation goes back into the queue between two predicates, when another one waits, and only then.
func TestALongEvaluationGivesItsPlaceAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := servePipes(t, 2)
		e := &all[0].service.evaluators
		e.held = make(chan struct{}, 1)
		long := turn{evaluators: e, by: &all[0].abort}
		require.True(t, long.step(turnWork))
		require.True(t, long.step(turnWork), "nobody waits")
		var order []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			short := turn{evaluators: e, by: &all[1].abort}
			defer short.end()
			assert.True(t, short.step(1))
			order = append(order, "short")
		}()
		synctest.Wait()
		require.Empty(t, order)
		require.True(t, long.step(1))
		order = append(order, "long")
		<-done
		assert.Equal(t, []string{"short", "long"}, order)
		long.end()
		assert.Empty(t, e.held)
	})
}

// A connection that is cut leaves the queue.
func TestAConnectionThatEndsWaitsForNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := servePipes(t, 2)
		e := &all[0].service.evaluators
		e.held = make(chan struct{}, 1)
		all[0].say("SUB orders WHERE n == 1")
		e.held <- struct{}{}
		all[1].send("PUB orders x")
		synctest.Wait()
		require.Equal(t, int32(1), e.waiting.Load())
		all[1].End(CloseReasonKilled)
		synctest.Wait()
		assert.Zero(t, e.waiting.Load())
		assert.Len(t, e.held, 1, "it takes none with it")
		e.release()
	})
}

// Parsing takes a slot where one client can make it long. Others need none, and are served meanwhile.
func TestALongParseWaitsForASlot(t *testing.T) {
	const names = 20_000
	half := fmt.Sprintf("*%d\r\n$9\r\nSUBSCRIBE\r\n", names+2) + strings.Repeat("$0\r\n\r\n", names)
	for _, test := range []struct {
		sentence string
		options  Options
		kind     func(*Service) *slots
		sent     string
	}{
		{"half a command of very many arguments", Options{Unprotected: true}, func(s *Service) *slots { return &s.longParsers }, half},
		{"anything before AUTH", Options{RequirePassword: "pw"}, func(s *Service) *slots { return &s.unauthenticated }, "a\n"},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all := servePipesOf(t, newService(t, test.options), 3)
				kind, other := test.kind(all[0].service), all[2]
				kind.held = make(chan struct{}, 1)
				if test.options.RequirePassword != "" {
					other.send("AUTH default pw")
					answer, err := other.from.ReadString('\n')
					require.NoError(t, err)
					require.Equal(t, "+OK\r\n", answer)
				}
				kind.held <- struct{}{}
				for _, p := range all[:2] {
					go func() { _, _ = io.WriteString(p.sock, test.sent) }() // ends with the connection
				}
				synctest.Wait()
				require.Equal(t, int32(2), kind.waiting.Load())
				other.say("SUB a", "PUB b x")
				all[0].End(CloseReasonKilled)
				synctest.Wait()
				assert.Equal(t, int32(1), kind.waiting.Load(), "what ends waits no more")
				kind.release()
				synctest.Wait()
				assert.Zero(t, kind.waiting.Load())
				assert.Empty(t, kind.held, "each slot comes back")
			})
		})
	}
}
