package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// defaultCount is how many entries an answer has at most, unless the query says so.
const defaultCount = 100

// getStream is GET /streams/{stream}: entries of one stream, as XRANGE has them.
//
// The ETag is the last id of the stream at an instant in front of the reading. So an append with If-Match fails if there was an
// entry that the answer could not have.
func (x *exchange) getStream() error {
	q, err := x.rangeQuery()
	if err != nil {
		return err
	}
	as, err := x.entryForm(false)
	if err != nil {
		return err
	}
	c, err := x.open()
	if err != nil {
		return err
	}
	x.shown = c
	last, ok := x.server.service.LastID(q.stream)
	if !ok {
		return errStopping
	}
	if q.last {
		if err := q.seekLast(c); err != nil {
			return err
		}
	}
	if err := c.send(q.args()...); err != nil {
		return err
	}
	n, err := c.receiveLength()
	if err != nil {
		return err
	}
	x.setETag(last)
	w, stop := x.newEntryWriter(c, as)
	defer stop()
	w.begin()
	more := n > q.count // one more was requested, to see that
	next := q.args()[2]
	for range min(n, q.count) {
		e, err := w.row([]byte(q.stream))
		if err != nil {
			return err
		}
		next = "(" + string(e.id)
	}
	return w.endPage(next, more)
}

// row reads the next entry of a reply, and writes it.
func (w *entryWriter) row(stream []byte) (*readEntry, error) {
	row, err := w.c.receive()
	if err != nil {
		return nil, err
	}
	e := entryOfStream(stream, row)
	return e, w.entry(e)
}

// setETag sets the id of a stream's last entry as the tag of an answer.
func (x *exchange) setETag(id string) { x.writer.Header().Set("ETag", `"`+id+`"`) }

// rangeQuery is what a query requests of one stream.
type rangeQuery struct {
	stream, from, to string
	count            int
	reverse          bool
	last             bool // the newest entries of the range, the oldest of them first
}

// rangeQuery parses the query.
func (x *exchange) rangeQuery() (q rangeQuery, err error) {
	if q.stream, err = x.stream(); err != nil {
		return q, err
	}
	values := x.request.URL.Query()
	q.from, q.to = rangeEnd(values, "from", "-"), rangeEnd(values, "to", "+")
	if q.count, err = entryCount(values); err != nil {
		return q, err
	}
	switch reverse := values.Get("reverse"); reverse {
	case "", "0":
	case "1":
		q.reverse = true
	default:
		return q, wrongValue("reverse", reverse)
	}
	if v := values.Get("last"); v != "" {
		if q.reverse || values.Get("count") != "" {
			return q, &problem{Status: http.StatusBadRequest, Detail: "last excludes count and reverse"}
		}
		if q.count, err = countOf("last", v); err != nil {
			return q, err
		}
		q.last = true
	}
	if x.request.Method == http.MethodHead {
		q.count, q.last = 0, false
	}
	return q, nil
}

// args is XRANGE or XREVRANGE, with one entry more than the answer has.
func (q *rangeQuery) args() []string {
	count := q.count
	if count > 0 {
		count++
	}
	if q.reverse {
		return []string{"XREVRANGE", q.stream, q.to, q.from, "COUNT", strconv.Itoa(count)}
	}
	return []string{"XRANGE", q.stream, q.from, q.to, "COUNT", strconv.Itoa(count)}
}

// seekLast moves the beginning of the range to the first of its newest entries. It reads them once, in order not to hold them.
func (q *rangeQuery) seekLast(c *conn) error {
	if err := c.send("XREVRANGE", q.stream, q.to, q.from, "COUNT", strconv.Itoa(q.count)); err != nil {
		return err
	}
	n, err := c.receiveLength()
	for range n {
		row, err := c.receive()
		if err != nil {
			return err
		}
		q.from = string(entryOfStream(nil, row).id)
	}
	return err
}

// isEntryID reports whether a text may be the id of an entry. The command has the last word; here it is that nothing else is one, such
// as an option, or an end of a range.
func isEntryID(text string) bool {
	return text != "" && strings.Trim(text, "0123456789-") == "" && strings.Trim(text, "-") == text
}

// getEntry is GET /streams/{stream}/entries/{id}.
func (x *exchange) getEntry() error {
	stream, err := x.stream()
	if err != nil {
		return err
	}
	id := x.params["id"]
	if !isEntryID(id) {
		return &problem{Status: http.StatusBadRequest, Detail: "the id of an entry is one such as 1764370800123-0"}
	}
	c, err := x.open()
	if err != nil {
		return err
	}
	x.shown = c
	reply, err := c.do("XRANGE", stream, id, id)
	if err != nil {
		return err
	}
	rows, _ := reply.([]any)
	if len(rows) == 0 {
		return &problem{Status: http.StatusNotFound, Detail: "the stream has no such entry"}
	}
	w, stop := x.newEntryWriter(c, entryLines)
	defer stop()
	e := entryOfStream([]byte(stream), rows[0])
	x.begin(http.StatusOK, "application/json")
	if err := w.entry(e); err != nil {
		return err
	}
	return w.flush()
}

// rangeEnd is one end of a range: an id, a parenthesis in front of one that is left out, or a time.
func rangeEnd(values url.Values, name, otherwise string) string {
	v := values.Get(name)
	if v == "" {
		return otherwise
	}
	if at, err := time.Parse(time.RFC3339, v); err == nil {
		return strconv.FormatInt(max(0, at.UnixMilli()), 10)
	}
	return v
}

// entryCount is how many entries the query wants.
func entryCount(values url.Values) (int, error) {
	v := values.Get("count")
	if v == "" {
		return defaultCount, nil
	}
	return countOf("count", v)
}

// countOf parses a count of entries.
func countOf(name, v string) (int, error) {
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil || n == 0 {
		return 0, wrongValue(name, v)
	}
	return int(n), nil
}

// wrongValue is the problem of a query.
func wrongValue(name, value string) error {
	return &problem{Status: http.StatusBadRequest, Detail: "wrong value of " + name + ": " + strconv.Quote(value) + "; docs/http.md has the forms"}
}

// stream is the stream in the path.
func (x *exchange) stream() (string, error) {
	stream := x.params["stream"]
	if stream == "" {
		return "", errNoStream
	}
	return stream, nil
}

// entryOfStream is a row of the reply to a command that reads one stream. Those of a group may have how long the entry was idle and
// how often it was delivered before, and no fields if it is deleted.
func entryOfStream(stream []byte, row any) *readEntry {
	parts, _ := row.([]any)
	if len(parts) != 2 && len(parts) != 4 {
		panic(fmt.Sprintf("an entry of a reply is %v", row))
	}
	e := &readEntry{stream: stream, deleted: parts[1] == nil}
	e.id, e.texts = idAndFields(parts[:2])
	if len(parts) == 4 {
		e.claims = true
		e.idle, _ = parts[2].(int64)
		e.deliveries, _ = parts[3].(int64)
		e.deliveries++ // with this one
	}
	return e
}

// idAndFields splits an entry of a reply.
func idAndFields(row any) (id []byte, texts [][]byte) {
	both, _ := row.([]any)
	if len(both) != 2 {
		panic(fmt.Sprintf("an entry of a reply is %v", row))
	}
	id, _ = both[0].([]byte)
	fields, _ := both[1].([]any)
	texts = make([][]byte, len(fields))
	for i, text := range fields {
		texts[i], _ = text.([]byte)
	}
	return id, texts
}
