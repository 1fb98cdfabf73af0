package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// maxWait bounds a long poll. net/http may not notice the end of a client that has sent another request behind it.
const maxWait = 10 * time.Minute

// maxIDs bounds the ids of one request. The core looks at all of them at one instant.
const maxIDs = 10_000

// consumer is the consumer that the query names.
func (x *exchange) consumer() (string, error) {
	consumer := x.request.URL.Query().Get("consumer")
	if consumer == "" {
		return "", &problem{Status: http.StatusBadRequest, Detail: "name the consumer: ?consumer=ann"}
	}
	return consumer, nil
}

// milliseconds is a duration of the query, 0 if there is none.
func milliseconds(values url.Values, name string) (int64, error) {
	v := values.Get(name)
	if v == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return 0, wrongValue(name, v)
	}
	return (d + time.Millisecond - 1).Milliseconds(), nil
}

// postGroupRead is POST /streams/{stream}/groups/{group}/read: it delivers entries to a consumer, and waits for one if it should.
func (x *exchange) postGroupRead() error {
	args, err := x.groupReadArgs()
	if err != nil {
		return err
	}
	as, err := x.entryForm(false)
	if err != nil {
		return err
	}
	if x.request.ContentLength != 0 { // net/http notices the client's end only behind a body
		return &problem{Status: http.StatusBadRequest, Detail: "a read has no body: the query has all"}
	}
	c, err := x.open()
	if err != nil {
		return err
	}
	x.shown = c
	if err := c.send(args...); err != nil {
		return err
	}
	n, err := x.awaitLength(c)
	if err != nil {
		return x.explainRefusal(err)
	}
	if n == 0 {
		return x.writeEntries(c, as, nil, 0)
	}
	stream, err := c.receive()
	if err != nil {
		return err
	}
	if n, err = c.receiveLength(); err != nil {
		return err
	}
	name, _ := stream.([]byte)
	return x.writeEntries(c, as, name, n)
}

// groupReadArgs makes XREADGROUP of the path and the query.
func (x *exchange) groupReadArgs() ([]string, error) {
	stream, group, err := x.group()
	if err != nil {
		return nil, err
	}
	consumer, err := x.consumer()
	if err != nil {
		return nil, err
	}
	values := x.request.URL.Query()
	count, err := entryCount(values)
	if err != nil {
		return nil, err
	}
	args := []string{"XREADGROUP", "GROUP", group, consumer, "COUNT", strconv.Itoa(count)}
	wait, err := milliseconds(values, "wait")
	if err != nil || wait > maxWait.Milliseconds() {
		return nil, wrongValue("wait", values.Get("wait"))
	}
	if wait > 0 {
		args = append(args, "BLOCK", strconv.FormatInt(wait, 10))
	}
	claim, err := milliseconds(values, "claim")
	if err != nil {
		return nil, err
	}
	if values.Get("claim") != "" {
		args = append(args, "CLAIM", strconv.FormatInt(claim, 10))
	}
	switch v := values.Get("noack"); v {
	case "", "0":
	case "1":
		args = append(args, "NOACK")
	default:
		return nil, wrongValue("noack", v)
	}
	after := values.Get("after")
	if after == "" {
		after = ">"
	}
	return append(args, "STREAMS", stream, after), nil
}

// awaitLength is receiveLength of a command that may wait. The end of the client ends the wait, and the connection: what was delivered
// at that moment stays pending.
func (x *exchange) awaitLength(c *conn) (int, error) {
	stop := context.AfterFunc(x.request.Context(), func() { _ = c.theirs.Close() }) // a pipe closes without fail
	defer stop()
	return c.receiveLength()
}

// writeEntries answers with n entries of a reply.
func (x *exchange) writeEntries(c *conn, as entryForm, stream []byte, n int) error {
	w, stop := x.newEntryWriter(c, as)
	defer stop()
	w.begin()
	for range n {
		if _, err := w.row(stream); err != nil {
			return err
		}
	}
	return w.endRows()
}

// postAck is POST /streams/{stream}/groups/{group}/ack: entries are done.
func (x *exchange) postAck() error {
	stream, group, err := x.group()
	if err != nil {
		return err
	}
	n, err := x.withIDs(func(ids []string) []string { return append([]string{"XACK", stream, group}, ids...) })
	if err != nil {
		return err
	}
	return x.json(object{{"acknowledged", n}})
}

// releases are the modes of XNACK by their names in the query.
var releases = map[string]string{"": "FAIL", "fail": "FAIL", "silent": "SILENT", "fatal": "FATAL"}

// postRelease is POST /streams/{stream}/groups/{group}/release: entries are given up, for any consumer to claim.
func (x *exchange) postRelease() error {
	stream, group, err := x.group()
	if err != nil {
		return err
	}
	as := x.request.URL.Query().Get("as")
	mode, known := releases[as]
	if !known {
		return wrongValue("as", as)
	}
	n, err := x.withIDs(func(ids []string) []string {
		return append([]string{"XNACK", stream, group, mode, "IDS", strconv.Itoa(len(ids))}, ids...)
	})
	if err != nil {
		return err
	}
	return x.json(object{{"released", n}})
}

// postClaim is POST /streams/{stream}/groups/{group}/claim: a consumer takes pending entries over.
func (x *exchange) postClaim() error {
	stream, group, err := x.group()
	if err != nil {
		return err
	}
	consumer, err := x.consumer()
	if err != nil {
		return err
	}
	idle, err := milliseconds(x.request.URL.Query(), "idle")
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
	ids, err := x.ids(c)
	if err != nil {
		return err
	}
	if err := c.send(append([]string{"XCLAIM", stream, group, consumer, strconv.FormatInt(idle, 10)}, ids...)...); err != nil {
		return err
	}
	n, err := c.receiveLength()
	if err != nil {
		return x.explainRefusal(err)
	}
	return x.writeEntries(c, as, []byte(stream), n)
}

// withIDs runs a command about the ids of the request, and returns its reply.
func (x *exchange) withIDs(command func(ids []string) []string) (any, error) {
	c, err := x.open()
	if err != nil {
		return nil, err
	}
	defer c.close()
	ids, err := x.ids(c)
	if err != nil {
		return nil, err
	}
	n, err := c.do(command(ids)...)
	return n, x.explainRefusal(err)
}

// ids are the ids of entries that a request is about: those of the query, or those of its body.
func (x *exchange) ids(c *conn) ([]string, error) {
	if ids := x.request.URL.Query()["id"]; len(ids) > 0 {
		return ids, checkIDs(ids)
	}
	var body json.RawMessage
	if err := x.readJSON(c, &body); err != nil {
		return nil, err
	}
	c.body = 8 * len(body) // a list of short texts takes that
	c.charge()
	var of struct {
		IDs []string `json:"ids"`
	}
	if err := decodeStrict(body, &of); err != nil {
		return nil, &problem{Status: http.StatusBadRequest, Detail: `the body is not an object such as {"ids": ["1764370800123-0"]}: ` + err.Error()}
	}
	return of.IDs, checkIDs(of.IDs)
}

// checkIDs refuses no id, too many, and what could be an option of the command.
func checkIDs(ids []string) error {
	if len(ids) == 0 || len(ids) > maxIDs || slices.ContainsFunc(ids, func(id string) bool { return !isEntryID(id) }) {
		return &problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf("name 1 to %d entries by ids such as 1764370800123-0", maxIDs)}
	}
	return nil
}
