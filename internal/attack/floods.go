package attack

import "strings"

// floodAttacks are publishers that send as fast as they can. Point 10.
var floodAttacks = []Scenario{
	{Name: "10-flood", Title: "1 flooding publisher, 4 subscribers that read", run: flood(1, 4)},
	{Name: "10b-flood", Title: "8 flooding publishers, 4 subscribers that read", run: flood(8, 4)},
	{Name: "10c-flood", Title: "1 flooding publisher, no subscriber", run: flood(1, 0)},
	{Name: "10d-flood", Title: "8 flooding publishers, no subscriber", run: flood(8, 0)},
}

func flood(publishers, subscribers int) func(*Target) error {
	return func(t *Target) error {
		for range subscribers {
			if _, err := t.quick(command("SUBSCRIBE", "flood"), 1); err != nil {
				return err
			}
		}
		const messages = 1000
		text := strings.Repeat(command("PUBLISH", "flood", strings.Repeat("x", 64)), messages)
		var conns []*conn
		for range publishers {
			c, err := t.quick("", 0)
			if err != nil {
				return err
			}
			conns = append(conns, c)
		}
		t.begin()
		ctx, stop := t.flooding()
		defer stop()
		sent := make([]int, publishers)
		err := each(publishers, func(i int) error {
			sent[i] = conns[i].pour(ctx, text, 1<<40)
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
