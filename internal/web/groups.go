package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/conchmq/conch/protocol"
)

// group are the stream and the consumer group in the path.
func (x *exchange) group() (stream, group string, err error) {
	if stream, err = x.stream(); err != nil {
		return "", "", err
	}
	if group = x.params["group"]; group == "" {
		return "", "", &problem{Status: http.StatusBadRequest, Detail: "a group has a name of at least one byte"}
	}
	return stream, group, nil
}

// missingStream makes 404 of the error about a stream that does not exist, which has no code of its own.
func missingStream(err error) error {
	refused := (*errorReply)(nil)
	switch {
	case !errors.As(err, &refused) || refused.code != string(protocol.CodeErr):
		return err
	case refused.text == "no such key", strings.HasPrefix(refused.text, "The XGROUP subcommand requires the key to exist"):
		return &problem{Status: http.StatusNotFound, Detail: "there is no such stream; PUT of a group makes it with ?mkstream=1", Code: refused.code}
	}
	return err
}

// getGroups is GET /streams/{stream}/groups: the fields of XINFO GROUPS MISSED.
func (x *exchange) getGroups() error {
	stream, err := x.stream()
	if err != nil {
		return err
	}
	groups, err := x.show("XINFO", "GROUPS", stream, "MISSED")
	if err != nil {
		return missingStream(err)
	}
	return x.json(object{{"stream", []byte(stream)}, {"groups", groups}})
}

// putGroup is PUT /streams/{stream}/groups/{group}: it makes a group, which must not exist.
func (x *exchange) putGroup() error {
	stream, group, err := x.group()
	if err != nil {
		return err
	}
	values := x.request.URL.Query()
	after := values.Get("after")
	if after == "" {
		after = "0"
	}
	args := []string{"XGROUP", "CREATE", stream, group, after}
	switch v := values.Get("mkstream"); v {
	case "", "0":
	case "1":
		args = append(args, "MKSTREAM")
	default:
		return wrongValue("mkstream", v)
	}
	if _, err := x.run(args...); err != nil {
		return x.explainRefusal(missingStream(err))
	}
	x.answer(http.StatusCreated, "application/json", object{{"stream", []byte(stream)}, {"group", []byte(group)}})
	return nil
}

// deleteGroup is DELETE /streams/{stream}/groups/{group}.
func (x *exchange) deleteGroup() error {
	stream, group, err := x.group()
	if err != nil {
		return err
	}
	destroyed, err := x.run("XGROUP", "DESTROY", stream, group)
	if err != nil {
		return x.explainRefusal(missingStream(err))
	}
	if destroyed == int64(0) {
		return &problem{Status: http.StatusNotFound, Detail: "the stream has no such group"}
	}
	return x.noContent()
}

// getConsumers is GET /streams/{stream}/groups/{group}/consumers: the fields of XINFO CONSUMERS.
func (x *exchange) getConsumers() error {
	stream, group, err := x.group()
	if err != nil {
		return err
	}
	consumers, err := x.show("XINFO", "CONSUMERS", stream, group)
	if err != nil {
		return missingStream(err)
	}
	return x.json(object{{"consumers", consumers}})
}

// deleteConsumer is DELETE /streams/{stream}/groups/{group}/consumers/{consumer}. What was pending for the consumer is no longer.
func (x *exchange) deleteConsumer() error {
	stream, group, err := x.group()
	if err != nil {
		return err
	}
	pending, err := x.run("XGROUP", "DELCONSUMER", stream, group, x.params["consumer"])
	if err != nil {
		return x.explainRefusal(missingStream(err))
	}
	return x.json(object{{"pending", pending}})
}

// maxPendingRows bounds the rows of an answer. Each page is listed on the core.
const maxPendingRows = 1000

// getPending is GET /streams/{stream}/groups/{group}/pending: what is delivered and not acknowledged.
func (x *exchange) getPending() error {
	stream, group, err := x.group()
	if err != nil {
		return err
	}
	values := x.request.URL.Query()
	count, err := entryCount(values)
	if err != nil {
		return err
	}
	if count > maxPendingRows {
		return wrongValue("count", values.Get("count"))
	}
	idle, err := milliseconds(values, "idle")
	if err != nil {
		return err
	}
	from := rangeEnd(values, "from", "-")
	args := []string{"XPENDING", stream, group, "IDLE", strconv.FormatInt(idle, 10), from, rangeEnd(values, "to", "+"), strconv.Itoa(count + 1)}
	if consumer := values.Get("consumer"); consumer != "" {
		args = append(args, consumer)
	}
	c, err := x.open()
	if err != nil {
		return err
	}
	x.shown = c
	reply, err := c.do(args...)
	if err != nil {
		return err
	}
	rows, _ := reply.([]any)
	list, next := make([]any, min(len(rows), count)), from
	for i := range list {
		row, _ := rows[i].([]any)
		id, _ := row[0].([]byte)
		list[i] = pendingEntry(row)
		next = "(" + string(id)
	}
	return x.json(object{{"pending", list}, {"next", next}, {"more", len(rows) > count}})
}

// pendingEntry is a row of the reply to XPENDING. A released entry has no consumer, and no time since its delivery.
func pendingEntry(row []any) object {
	o := object{{"id", row[0]}, {"consumer", nil}, {"idle", nil}, {"deliveries", row[3]}}
	if consumer, _ := row[1].([]byte); len(consumer) > 0 {
		o[1].value = consumer
	}
	if idle, _ := row[2].(int64); idle >= 0 {
		o[2].value = idle
	}
	return o
}
