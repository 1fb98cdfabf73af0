package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// defaultCount is how many entries an answer has at most, unless the query says so.
const defaultCount = 100

// getStream is GET /streams/{stream}: entries of one stream, as XRANGE has them.
//
// The ETag is the last id of the stream at an instant in front of the reading. So an append with If-Match fails if there was an
// entry that the answer could not have.
func (x *exchange) getStream() error {
	args, err := x.rangeArgs()
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
	last, ok := x.server.service.LastID(args[1])
	if !ok {
		return errStopping
	}
	if err := c.send(args...); err != nil {
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
	for range n {
		row, err := c.receive()
		if err != nil {
			return err
		}
		e := readEntry{stream: []byte(args[1])}
		e.id, e.texts = idAndFields(row)
		if err := w.entry(&e); err != nil {
			return err
		}
	}
	return w.endRows()
}

// setETag sets the id of a stream's last entry as the tag of an answer.
func (x *exchange) setETag(id string) { x.writer.Header().Set("ETag", `"`+id+`"`) }

// rangeArgs makes XRANGE or XREVRANGE of the query.
func (x *exchange) rangeArgs() ([]string, error) {
	stream, err := x.stream()
	if err != nil {
		return nil, err
	}
	values := x.request.URL.Query()
	from, to := rangeEnd(values, "from", "-"), rangeEnd(values, "to", "+")
	count, err := entryCount(values)
	if err != nil {
		return nil, err
	}
	if x.request.Method == http.MethodHead {
		count = 0
	}
	args := []string{"XRANGE", stream, from, to, "COUNT", strconv.Itoa(count)}
	switch reverse := values.Get("reverse"); reverse {
	case "", "0":
	case "1":
		args[0], args[2], args[3] = "XREVRANGE", to, from
	default:
		return nil, wrongValue("reverse", reverse)
	}
	return args, nil
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
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil || n == 0 {
		return 0, wrongValue("count", v)
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
