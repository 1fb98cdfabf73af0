package web_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

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
