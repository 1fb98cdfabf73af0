package web_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// A stream of several topics that is cut at any moment: their messages come in the one order, without a hole or a double.
func TestAStreamOfTopicsThatIsCutAgainAndAgain(t *testing.T) {
	both(t, server.Options{Recent: 16 << 20}, func(t *testing.T, s *site) {
		const messages = 3000
		path := "/events?topic=a&topic=b&topic=c"
		e := s.events(path)
		var publishing sync.WaitGroup
		publishing.Go(func() {
			c := s.Dial(t)
			for i := 1; i <= messages; i++ {
				c.Command("PUBLISH", string(rune('a'+i%3)), fmt.Sprint(i))
				if _, err := c.Frame(); err != nil {
					return
				}
			}
		})
		id, next := "", 1
		for next <= messages {
			if e == nil {
				e = s.stream(path, header("Last-Event-ID", id))
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
				require.Equal(t, fmt.Sprintf("%d\n\n", next), data)
				if next++; next > messages {
					break
				}
			}
			e.close()
			e = nil
		}
		publishing.Wait()
	})
}

// However many topics a stream has, what is replayed for them comes in the one order: an id is never ahead of an older message that is
// yet to come.
func TestAStreamOfManyTopicsKeepsTheOrder(t *testing.T) {
	const topics, messages = 1500, 6000
	both(t, server.Options{Recent: 64 << 20, SlowHard: 1 << 30, SlowSoft: 1 << 30, MaxPredicates: topics}, func(t *testing.T, s *site) {
		c := s.Dial(t)
		for i := range messages {
			c.Command("PUBLISH", fmt.Sprint("t", i*7%topics), strings.Repeat("x", 500))
			c.Line()
		}
		var path strings.Builder
		path.WriteString("/events?")
		for i := range topics {
			fmt.Fprintf(&path, "topic=t%d&", i)
		}
		for _, query := range []string{"", "where=size+%3E+0"} {
			e := s.stream(path.String()+query, header("Last-Event-ID", s.Service().Epoch()+"-10"))
			for next := 11; next <= messages; {
				id, _, isMessage := strings.Cut(e.next(), "\ndata: ")
				if isMessage {
					require.Equal(t, fmt.Sprintf("id: %s-%d", s.Service().Epoch(), next), id, query)
					next++
				}
			}
			e.close()
		}
	})
}

// A request in JSON may name several topics, or patterns. Each is confirmed, and all are replayed in the one order.
func TestSeveralNamesInOneRequest(t *testing.T) {
	s := start(t, server.Options{Recent: 1 << 20}, web.Options{})
	c := s.Dial(t)
	for i := range 20 {
		c.Command("PUBLISH", string(rune('a'+i%2)), fmt.Sprint(i+1))
		c.Line()
	}
	for _, request := range []string{`"topic":["b","a"],"from":"0"`, `"topic":"b","topic_base64":["YQ=="],"from":"0","where":"size > 0"`, `"pattern":["a","[b]"],"last":10`} {
		w := s.upgrade("conch.json")
		w.send(`{"op":"subscribe",` + request + `,"id":1}`)
		for range 2 {
			require.Contains(t, string(w.read().Payload), `{"event":"subscribed","id":1,"name":"`)
		}
		for i := range 20 {
			require.Contains(t, string(w.read().Payload), fmt.Sprintf(`"payload":"%d"`, i+1))
		}
		require.NoError(t, w.Close())
	}
	w := s.upgrade("conch.json")
	w.send(`{"op":"subscribe","topic":["a","b","c"]}`)
	w.expect(`{"event":"subscribed","name":"a"}`, `{"event":"subscribed","name":"b"}`, `{"event":"subscribed","name":"c"}`)
	w.send(`{"op":"unsubscribe","topic":["c","a"],"pattern":null,"id":2}`)
	w.expect(`{"event":"unsubscribed","id":2,"name":"c"}`, `{"event":"unsubscribed","id":2,"name":"a"}`)
	for _, test := range [][2]string{
		{`"topic":[]`, `subscribe needs topic or pattern; send {\"op\":\"subscribe\",\"topic\":\"news\"}`},
		{`"topic":null`, `subscribe needs topic or pattern; send {\"op\":\"subscribe\",\"topic\":\"news\"}`},
		{`"topic":["a"],"pattern":["a"]`, `topic and pattern exclude each other`},
		{`"topic":["a",null]`, `wrong request: a name is null`},
		{`"topic":["a",1]`, `wrong request: cannot unmarshal number into Go struct field request.topic of type string`},
		{`"topic":{"a":1}`, `wrong request: cannot unmarshal object into Go struct field request.topic of type string`},
		{`"topic":["a` + strings.Repeat(`","`, 10_000) + `"]`, `wrong request: more than 10000 names`},
		{`"topic":["d","a WHERE b"]`, `a name may not contain \" WHERE \": use a pattern with [ ] for the space`},
		{`"topic":["a` + strings.Repeat(`","`, 4000) + `"],"where":"` + strings.Repeat("x", 4000) + `"`, `4001 names are too many for a predicate of 4007 bytes: name fewer`},
	} {
		w.send(`{"op":"subscribe",` + test[0] + `}`)
		w.expect(`{"event":"error","code":"ERR","error":"` + test[1] + `"}`)
	}
	w.send(`{"op":"publish","topic":["a","b"],"payload":"x"}`)
	w.expect(`{"event":"error","code":"ERR","error":"publish needs topic and payload; send {\"op\":\"publish\",\"topic\":\"news\",\"payload\":\"hi\"}"}`)
}
