package web

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/conchmq/conch/internal/entry"
	"github.com/conchmq/conch/protocol"
)

// headerPrefix starts the headers of a request that become fields of the entry.
const headerPrefix = "Conch-Header-"

var errNoStream = &problem{Status: http.StatusBadRequest, Detail: "a stream has a name of at least one byte"}

// postStream is POST /streams/{stream}: the body is appended to the stream, as an entry with the field message.
func (x *exchange) postStream() error {
	if x.hasManyMessages() {
		return &problem{Status: http.StatusUnsupportedMediaType, Detail: "a request appends one entry: send one for each line"}
	}
	args, err := x.appendArgs()
	if err != nil {
		return err
	}
	fields := x.request.URL.Query().Get("fields")
	if fields != "" && fields != "0" && fields != "1" {
		return wrongValue("fields", fields)
	}
	if fields != "1" {
		if err := x.checkLength(); err != nil {
			return err
		}
	}
	c, err := x.open()
	if err != nil {
		return err
	}
	defer c.close()
	args = x.appendIdempotency(args)
	if fields == "1" {
		err = x.sendFields(c, args)
	} else {
		err = x.sendBody(c, append(args, entry.Field)...)
	}
	if err != nil {
		return err
	}
	reply, err := c.receive()
	if err != nil {
		return x.explainRefusal(err)
	}
	id, _ := reply.([]byte)
	x.setETag(string(id))
	return x.json(object{{"stream", []byte(args[1])}, {"id", id}})
}

// appendIdempotency adds the idempotent id of the request to an XADD. Its producer is the user: the ids of one are no matter of
// another. It comes behind open, which finds the user.
func (x *exchange) appendIdempotency(args []string) []string {
	key := x.request.Header.Values("Idempotency-Key")
	if len(key) == 0 {
		return args
	}
	return slices.Insert(args, 2, "IDMP", x.given.name(), key[0])
}

// hasEntryHeaders reports whether the request has headers of an entry: those of the message, or an idempotent id.
func (x *exchange) hasEntryHeaders() bool {
	for name := range x.request.Header {
		if name == "Idempotency-Key" || len(name) > len(headerPrefix) && strings.EqualFold(name[:len(headerPrefix)], headerPrefix) {
			return true
		}
	}
	return false
}

// publishEntry publishes the body to a durable topic, as an entry that has headers or an idempotent id. Other topics keep neither, so they
// refuse it.
func (x *exchange) publishEntry(topic string) error {
	args, err := x.appendHeaders([]string{"XADD", topic, "*"})
	if err != nil {
		return err
	}
	c, err := x.open()
	if err != nil {
		return err
	}
	defer c.close()
	c.AddToDurableOnly()
	if err := x.sendBody(c, append(x.appendIdempotency(args), entry.Field)...); err != nil {
		return err
	}
	reply, err := c.receive()
	if err != nil {
		return x.explainRefusal(err)
	}
	return x.json(object{{"topic", []byte(topic)}, {"id", reply}})
}

// appendArgs is XADD up to the fields of headers. The field message comes behind them, so that the body can be sent as it comes.
func (x *exchange) appendArgs() ([]string, error) {
	stream, err := x.stream()
	if err != nil {
		return nil, err
	}
	args := []string{"XADD", stream}
	last, conditional, err := x.lastID()
	if err != nil {
		return nil, err
	}
	if conditional {
		args = append(args, "IF-LAST", last)
	}
	if fence := x.request.Header.Values("Conch-Fence"); len(fence) > 0 {
		args = append(args, "FENCE", fence[0])
	}
	return x.appendHeaders(append(args, "*"))
}

// appendHeaders appends the fields of headers to the arguments of an XADD.
func (x *exchange) appendHeaders(args []string) ([]string, error) {
	var names []string
	for name := range x.request.Header {
		if len(name) > len(headerPrefix) && strings.EqualFold(name[:len(headerPrefix)], headerPrefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names) // HTTP has no order of them
	for _, name := range names {
		field := strings.ToLower(name[len(headerPrefix):]) // HTTP knows no case
		if field == entry.Field {
			return nil, &problem{Status: http.StatusBadRequest, Detail: "the message is the body: there is no header " + headerPrefix + "Message"}
		}
		for _, value := range x.request.Header[name] {
			args = append(args, field, value)
		}
	}
	return args, nil
}

// lastID is the last id that the stream must have, if the request names one: If-Match, or If-None-Match for a stream that is new.
func (x *exchange) lastID() (id string, conditional bool, err error) {
	match, none := x.request.Header.Values("If-Match"), x.request.Header.Values("If-None-Match")
	switch {
	case len(match)+len(none) == 0:
		return "", false, nil
	case len(none) == 1 && len(match) == 0 && none[0] == "*":
		return "0", true, nil
	case len(match) == 1 && len(none) == 0:
		tag, opened := strings.CutPrefix(match[0], `"`)
		tag, closed := strings.CutSuffix(tag, `"`)
		if opened && closed && isEntryID(tag) {
			return tag, true, nil
		}
	}
	return "", false, &problem{
		Status: http.StatusBadRequest,
		Detail: `an append takes one condition: If-Match with the ETag of the stream, such as "1764370800123-0", or If-None-Match: * for a stream without an entry`,
	}
}

// explainRefusal adds to the refusal of a change what the client needs to go on.
func (x *exchange) explainRefusal(err error) error {
	refused := (*errorReply)(nil)
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.code {
	case string(protocol.CodeLastID):
		last, _, _ := strings.Cut(refused.text, " ")
		x.setETag(last)
	case string(protocol.CodeMisconf):
		if !x.server.service.HasLogFailed() {
			return &problem{Status: http.StatusInsufficientStorage, Detail: refused.text, Code: refused.code}
		}
	}
	return err
}

// sendFields sends the fields of a JSON object in place of a message.
func (x *exchange) sendFields(c *conn, args []string) error {
	var body json.RawMessage
	if err := x.readJSON(c, &body); err != nil {
		return err
	}
	c.body = 3 * len(body)
	c.charge()
	fields, err := fieldsOf(body)
	if err != nil {
		return &problem{Status: http.StatusBadRequest, Detail: err.Error()}
	}
	return c.send(append(args, fields...)...)
}

var (
	errNoFields   = errors.New("the body is not a JSON object of fields, such as {\"price\": 120}")
	errHalfEscape = errors.New("an escape is half a character; other bytes go into a member with _base64 behind its name")
	errNull       = errors.New("a field has no null: leave it out")
	errBase64     = errors.New("a member with _base64 behind its name has bytes in base64")
)

// fieldsOf makes names and values of a JSON object, in its order: the other way around of what package entry does. An array is a
// field for each element. A value is its text; what is neither a text nor an array is its JSON.
func fieldsOf(body []byte) (fields []string, err error) {
	if !json.Valid(body) {
		return nil, errNoFields
	}
	if hasHalfCharacter(body) {
		return nil, errHalfEscape
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errNoFields
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, errNoFields
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errNoFields
		}
		values := []json.RawMessage{value}
		if value[0] == '[' && json.Unmarshal(value, &values) != nil {
			return nil, errNoFields
		}
		text, _ := name.(string)
		for _, value := range values {
			field, text, err := fieldOf(text, value)
			if err != nil {
				return nil, err
			}
			fields = append(fields, field, text)
		}
	}
	if fields == nil {
		return nil, errNoFields
	}
	return fields, nil
}

// fieldOf makes a field of a member.
func fieldOf(name string, value json.RawMessage) (field, text string, err error) {
	switch value[0] {
	case 'n':
		return "", "", errNull
	case '{', '[':
		var compact bytes.Buffer
		if json.Compact(&compact, value) != nil {
			return "", "", errNoFields
		}
		return name, compact.String(), nil
	case '"':
		if json.Unmarshal(value, &text) != nil {
			return "", "", errNoFields
		}
	default:
		text = string(value)
	}
	if field, ok := strings.CutSuffix(name, "_base64"); ok {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return "", "", errBase64
		}
		return field, string(b), nil
	}
	return name, text, nil
}
