package sse

import (
	"bytes"
	"strings"

	"github.com/conchmq/conch/internal/connect"
)

// parser reads events as the HTML standard has them, but for lines that end with CR alone.
type parser struct {
	lines *connect.Lines
	limit int
	id    string // of the last event that had one
	begun bool   // a byte order mark can stand before the first line alone
}

// event is one event. Its id is empty if the event had none of its own.
type event struct {
	data     []byte
	name, id string
}

// next returns the next event that has data. More data than limit is not kept, but for what shows that it is too much.
func (p *parser) next() (e event, err error) {
	hasData := false
	for {
		line, _, err := p.lines.Next()
		if err != nil {
			return event{}, err //nolint:wrapcheck // of the connection
		}
		if !p.begun {
			line, p.begun = bytes.TrimPrefix(line, []byte("\ufeff")), true
		}
		if len(line) == 0 {
			if hasData {
				if e.name == "" {
					e.name = "message"
				}
				return e, nil
			}
			e = event{} // an event without data is none, but its id counts
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "data":
			if hasData {
				e.data = append(e.data, '\n')
			}
			e.data = append(e.data, value[:min(len(value), max(0, p.limit+1-len(e.data)))]...)
			hasData = true
		case "event":
			e.name = string(value)
		case "id":
			if id := string(value); !strings.Contains(id, "\x00") {
				e.id, p.id = id, id
			}
		}
	}
}
