package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/protocol"
)

// getRead is GET /read: entries of several streams, in the one order.
func (x *exchange) getRead() error {
	q, err := x.readQuery()
	if err != nil {
		return err
	}
	as, err := x.entryForm(true)
	if err != nil {
		return err
	}
	c, err := x.open()
	if err != nil {
		return err
	}
	x.shown = c
	w, stop := x.newEntryWriter(c, as)
	defer stop()
	for {
		page, err := w.page(q)
		if err != nil {
			return err
		}
		q.from, q.last, q.count = page.next.String(), 0, q.count-page.rows
		if page.end || q.count <= 0 {
			return w.end(page.next, !page.end)
		}
		if x.request.Context().Err() != nil {
			return errEnded
		}
		if err := w.seen(page.next); err != nil {
			return err
		}
	}
}

// page is the end of one reply to READ.
type page struct {
	next place // where to go on
	rows int
	end  bool // nothing more was there
}

// page runs READ once, and writes the entries of its reply as they come.
func (w *entryWriter) page(q readQuery) (p page, err error) {
	if err := w.c.send(q.args()...); err != nil {
		return p, err
	}
	if _, err := w.c.receiveLength(); err != nil {
		return p, err
	}
	next, err := w.c.receive()
	if err != nil {
		return p, err
	}
	p.next = placeOf(next)
	if p.rows, err = w.c.receiveLength(); err != nil {
		return p, err
	}
	if !w.x.begun {
		w.begin()
	}
	for range p.rows {
		row, err := w.c.receive()
		if err != nil {
			return p, err
		}
		if err := w.entry(entryOf(row)); err != nil {
			return p, err
		}
	}
	end, err := w.c.receive()
	p.end = end == int64(1)
	return p, err
}

// entryOf is a row of the reply to READ: name, position, id, fields.
func entryOf(row any) *readEntry {
	parts, _ := row.([]any)
	if len(parts) != 4 {
		panic(fmt.Sprintf("a row of READ is %v", row))
	}
	e := new(readEntry)
	e.stream, _ = parts[0].([]byte)
	at := placeOf(parts[1])
	e.epoch, e.sequence = at.epoch, at.number
	e.id, e.texts = idAndFields(parts[2:])
	return e
}

// readQuery is what the query and the header of a request say about a READ.
type readQuery struct {
	streams []string
	from    string // empty: the oldest
	last    int    // 0: from on
	count   int
	where   string
}

// readQuery parses the query. What a client sends back after a broken connection counts more than from and last.
func (x *exchange) readQuery() (q readQuery, err error) {
	values := x.request.URL.Query()
	q.streams, q.from, q.where = values["stream"], values.Get("from"), values.Get("where")
	if len(q.streams) == 0 {
		return q, &problem{Status: http.StatusBadRequest, Detail: "name a stream, or a glob: /read?stream=orders"}
	}
	for _, name := range q.streams {
		if name == "" {
			return q, errNoStream
		}
	}
	if q.count, err = entryCount(values); err != nil {
		return q, err
	}
	if v := values.Get("last"); v != "" {
		if q.last, err = strconv.Atoi(v); err != nil || q.last < 1 || q.from != "" {
			return q, wrongValue("last", v)
		}
		if q.count = q.last; values.Get("count") != "" {
			return q, &problem{Status: http.StatusBadRequest, Detail: "last and count exclude each other"}
		}
	}
	if id := x.request.Header.Get("Last-Event-ID"); id != "" {
		last, err := placeOfEvent(id)
		if err != nil {
			return q, err
		}
		q.from, q.last = place{last.epoch, last.number + 1}.String(), 0
	}
	return q, nil
}

// args is the command.
func (q *readQuery) args() []string {
	args := append([]string{"READ"}, q.streams...)
	if q.from != "" {
		args = append(args, "FROM", q.from)
	}
	if q.last > 0 {
		args = append(args, "LAST", strconv.Itoa(q.last))
	} else {
		args = append(args, "COUNT", strconv.Itoa(q.count))
	}
	if q.where = strings.TrimSpace(q.where); q.where != "" {
		args = append(args, "WHERE", q.where)
	}
	return args
}

// placeOf parses a position that conch itself has written: EPOCH-NUMBER.
func placeOf(text any) (p place) {
	b, _ := text.([]byte)
	epoch, number, _ := strings.Cut(string(b), "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("the position in a reply is %q", b))
	}
	return place{epoch, n}
}

// placeOfEvent parses the id of an event, which a client sends back.
func placeOfEvent(id string) (place, error) {
	p, err := position.ParseFrom(id)
	if err != nil || p.Kind != position.Number || p.Epoch == "" {
		return place{}, &problem{Status: http.StatusBadRequest, Detail: "wrong Last-Event-ID: " + strconv.Quote(id) + "; it is the id of an event"}
	}
	return place{p.Epoch, p.Number}, nil
}

// place is a place in the one order.
type place struct {
	epoch  string
	number uint64
}

func (p place) String() string { return string(protocol.AppendPosition(nil, p.epoch, p.number)) }

// before is the number in front of a place: the id of an event means what is behind it.
func (p place) before() uint64 { return max(p.number, 1) - 1 }
