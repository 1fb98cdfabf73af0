package web_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// publish publishes numbered messages to news.
func (s *site) publish(from, to int) {
	s.t.Helper()
	c := s.Dial(s.t)
	for i := from; i < to; i++ {
		c.Command("PUBLISH", "news", fmt.Sprint(i))
		_, err := c.Frame()
		require.NoError(s.t, err)
	}
	require.NoError(s.t, c.Close())
}

// A browser that comes back with its last id has missed nothing, and gets nothing twice.
func TestAStreamResumes(t *testing.T) {
	both(t, server.Options{Recent: 1 << 20}, func(_ *testing.T, s *site) {
		s.publish(1, 6)
		at := func(n int) option { return header("Last-Event-ID", fmt.Sprintf("%s-%d", s.Service().Epoch(), n)) }
		e := s.stream("/topics/news", at(2))
		for i := 3; i < 6; i++ {
			e.expectMessage(fmt.Sprint(i))
		}
		s.publish(6, 8)
		e.expectMessage("6")
		e.expectMessage("7")
		for query, first := range map[string]int{"from=0": 1, "last=2": 6, "from=" + s.Service().Epoch() + "-4": 4} {
			past := s.stream("/topics/news?format=json&" + query)
			for i := first; i < 8; i++ {
				past.expectMessage(fmt.Sprintf(`{"event":"message","topic":"news","payload":"%d","epoch":"%s","sequence":%d}`, i, s.Service().Epoch(), i))
			}
		}
		// The id counts, not the position in the first query.
		e = s.stream("/topics/news?from=0", at(6))
		e.expectMessage("7")
	})
}

// expectMessage reads up to the next message, and its data.
func (e *eventStream) expectMessage(data string) {
	e.t.Helper()
	for {
		text := e.next()
		if _, got, ok := strings.Cut(text, "\ndata: "); ok {
			require.Equal(e.t, data, strings.TrimSuffix(got, "\n\n"))
			return
		}
	}
}

// A position of another epoch, and one that is no longer kept, are reported as missing messages.
func TestAStreamThatCannotResume(t *testing.T) {
	both(t, server.Options{Recent: 1 << 20}, func(t *testing.T, s *site) {
		s.publish(1, 3)
		e := s.stream("/topics/news", header("Last-Event-ID", "abcdef0123456789-1"))
		for text := ""; !strings.HasPrefix(text, "event: missed"); {
			text = e.next()
			if strings.HasPrefix(text, "event: missed") {
				assert.Equal(t, "event: missed\ndata: {\"event\":\"missed\",\"name\":\"news\",\"count\":null}\n\n", text)
			}
		}
		e.expectMessage("1")
		e.expectMessage("2")
	})
}

// A connection that is cut at any moment and comes back with its last id: no hole, no double.
func TestAStreamThatIsCutAgainAndAgain(t *testing.T) {
	both(t, server.Options{Recent: 16 << 20}, func(t *testing.T, s *site) {
		const messages = 3000
		e := s.events("/topics/news")
		var publishing sync.WaitGroup
		publishing.Go(func() { s.publish(1, messages+1) })
		id, next, cuts := "", 1, 0
		for next <= messages {
			if e == nil {
				e = s.stream("/topics/news", header("Last-Event-ID", id))
				cuts++
			}
			for range 1 + next%17 {
				text := e.next()
				head, data, isMessage := strings.Cut(text, "\ndata: ")
				if line, ok := strings.CutPrefix(strings.TrimSpace(head), "id: "); ok {
					id = line
				}
				if !isMessage {
					continue
				}
				require.Equal(t, fmt.Sprintf("%d\n\n", next), data, "after %d cuts", cuts)
				if next++; next > messages {
					break
				}
			}
			e.close()
			e = nil
		}
		publishing.Wait()
		assert.Positive(t, cuts)
	})
}

func TestAWebSocketResumes(t *testing.T) {
	s := start(t, server.Options{Recent: 1 << 20}, web.Options{})
	s.publish(1, 4)
	epoch := s.Service().Epoch()
	w := s.upgrade("conch.json")
	w.send(fmt.Sprintf(`{"op":"subscribe","topic":"news","after":"%s-1","id":1}`, epoch))
	w.expect(`{"event":"subscribed","id":1,"name":"news"}`)
	for i := 2; i < 4; i++ {
		w.expect(fmt.Sprintf(`{"event":"message","topic":"news","payload":"%d","epoch":"%s","sequence":%d}`, i, epoch, i))
	}
	w.send(`{"op":"subscribe","topic":"news","last":1,"id":2}`)
	w.expect(`{"event":"error","id":2,"code":"ERR","error":"news is subscribed to already, and goes on from where it is; to start anew, type: UNSUB news"}`)
	w.send(`{"op":"unsubscribe","topic":"news"}`)
	w.expect(`{"event":"unsubscribed","name":"news"}`)
	w.send(`{"op":"subscribe","pattern":"n*","last":1,"where":"payload != '0'"}`)
	_ = w.read()

	lines := s.upgrade("conch.lines")
	lines.send("SUB news FROM " + epoch + "-3")
	lines.expect("OK SUB news", "UPDATE #3 news 3")
}

// A change of the user in the middle of a replay ends it, with its reason behind what was queued, or changes nothing.
func TestUsersChangeInTheMiddleOfAReplay(t *testing.T) {
	const messages = 2000
	for rule, ends := range map[string]bool{"DELUSER ann": true, "SETUSER ann resetchannels &other": true, "SETUSER ann off": false, "SETUSER ann -ping": false} {
		both(t, server.Options{Recent: 64 << 20}, func(t *testing.T, s *site) {
			admin := s.Dial(t)
			admin.Command("ACL", "SETUSER", "ann", "on", ">pw", "&*", "+@all")
			admin.Expect("+OK\r\n")
			for i := range messages {
				admin.Command("PUBLISH", "news", fmt.Sprint(i+1, strings.Repeat(" ", 16_000)))
				admin.Line()
			}
			e := s.stream("/topics/news?from=0", basic("ann", "pw"))
			e.expectNumbered(1)
			admin.Command(append([]string{"ACL"}, strings.Fields(rule)...)...)
			admin.Line()
			next := 2
			for ; next <= messages; next++ {
				if !e.isNumbered(next) {
					break
				}
			}
			assert.Equal(t, ends, next <= messages, "%s: up to %d", rule, next)
			e.close()
			s.await("it is gone", func() bool { return s.Service().Counts.Open.Load() == 1 })
		})
	}
}

// expectNumbered reads up to the next message, which begins with a number.
func (e *eventStream) expectNumbered(n int) {
	e.t.Helper()
	require.True(e.t, e.isNumbered(n))
}

// isNumbered reads up to the next message, and reports whether it begins with a number. Otherwise it must be the end of the stream.
func (e *eventStream) isNumbered(n int) bool {
	e.t.Helper()
	for text := ""; ; {
		line, err := e.in.ReadString('\n')
		text += line
		switch {
		case err != nil:
			return false
		case line != "\n":
		case strings.Contains(text, "event: closing"):
			_, err := e.in.ReadByte()
			require.Error(e.t, err, "nothing follows the notice")
			return false
		case strings.Contains(text, "\ndata: "):
			require.Contains(e.t, text, fmt.Sprintf("\ndata: %d ", n))
			return true
		default:
			text = ""
		}
	}
}
