package attack

import (
	"fmt"
	"strings"
)

// floodAttacks are publishers at full speed. Point 10.
var floodAttacks = []Scenario{
	{Name: "10-flood", Title: "1 flooding publisher, 4 subscribers that read", run: flood(1, 4, 1)},
	{Name: "10b-flood", Title: "8 flooding publishers, 4 subscribers that read", run: flood(8, 4, 1)},
	{Name: "10c-flood", Title: "1 flooding publisher, no subscriber", run: flood(1, 0, 1)},
	{Name: "10d-flood", Title: "8 flooding publishers, no subscriber", run: flood(8, 0, 1)},
	{Name: "10e-flood", Title: "8 publishers flood two topics in turn, 20 subscribers that read", run: flood(8, 20, 2)},
}

// flood publishes to topics in turn. With one topic, all messages of a read are one run.
func flood(publishers, subscribers, topics int) func(*Target) error {
	return func(t *Target) error {
		for range subscribers {
			if _, err := t.dialReader(command("SUBSCRIBE", "flood0", "flood1"), 2); err != nil {
				return err
			}
		}
		const messages = 1000
		var pieces strings.Builder
		for i := range messages {
			pieces.WriteString(command("PUBLISH", fmt.Sprintf("flood%d", i%topics), strings.Repeat("x", 64)))
		}
		text := pieces.String()
		var conns []*conn
		for range publishers {
			c, err := t.dialReader("", 0)
			if err != nil {
				return err
			}
			conns = append(conns, c)
		}
		t.begin()
		ctx, stop := t.floodContext()
		defer stop()
		sent := make([]int, publishers)
		err := inParallel(publishers, func(i int) error {
			sent[i] = conns[i].writeRepeatedly(ctx, text, 1<<40)
			return nil
		})
		total := 0
		for _, n := range sent {
			total += n
		}
		t.note("%.0f k/s published", float64(total/len(text)*messages)/t.Flood.Seconds()/1000)
		return err
	}
}
