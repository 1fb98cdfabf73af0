package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// This file parses requests in JSON: one object in a line, as a WebSocket with conch.json and an event stream send them.

// request is one request in JSON. Each operation has its fields; a text that is no UTF-8 stands in base64.
type request struct {
	ID            json.RawMessage   `json:"id"`
	Op            string            `json:"op"`
	Topic         oneOrMore[string] `json:"topic"`
	TopicBase64   oneOrMore[[]byte] `json:"topic_base64"`
	Pattern       oneOrMore[string] `json:"pattern"`
	PatternBase64 oneOrMore[[]byte] `json:"pattern_base64"`
	Payload       *string           `json:"payload"`
	PayloadBase64 []byte            `json:"payload_base64"`
	Where         string            `json:"where"`
	From          string            `json:"from"`
	After         string            `json:"after"`
	Last          int               `json:"last"`
	Each          bool              `json:"each"`
	User          string            `json:"user"`
	Password      string            `json:"password"`
}

// oneOrMore is a field with one text, or a list of texts.
type oneOrMore[T string | []byte] []T

// maxObjectNames bounds a list: each name takes much more memory than the three bytes that it may have in the request.
const maxObjectNames = 10_000

// UnmarshalJSON implements [json.Unmarshaler].
func (o *oneOrMore[T]) UnmarshalJSON(text []byte) error {
	if *o = nil; string(text) == "null" {
		return nil
	}
	if text[0] != '[' {
		text = slices.Concat([]byte{'['}, text, []byte{']'})
	}
	d := json.NewDecoder(bytes.NewReader(text))
	_, _ = d.Token() // the bracket: package json has checked the syntax
	for d.More() {
		var one *T
		if err := d.Decode(&one); err != nil {
			return err //nolint:wrapcheck // decode words it
		}
		if one == nil {
			return errors.New("a name is null")
		}
		if *o = append(*o, *one); len(*o) > maxObjectNames {
			return fmt.Errorf("more than %d names", maxObjectNames)
		}
	}
	return nil
}

// maxRequestID bounds the id of a request, which its reply repeats.
const maxRequestID = 128

// SetObjects makes the reader expect a JSON object in each line, and nothing else.
func (r *Reader) SetObjects() { r.objects = true }

// nextObject is Next for objects. A wrong object gets an error; one that is too long is fatal.
func (r *Reader) nextObject(c *Command, buf []byte) (used int, ok bool, err *Error) {
	most := r.limits.Command
	if r.limits.unauth {
		most = maxUnauthArgLen
	}
	line, used, _, err := r.line.next(buf, most)
	if err != nil {
		return 0, false, fatalf("too big request (over %d bytes)", most)
	}
	if used == 0 || len(bytes.TrimSpace(line)) == 0 {
		return used, false, nil
	}
	c.parseObject(line, r.limits)
	return used, true, nil
}

// parseObject fills c from a JSON object. Its arguments do not alias the line.
func (c *Command) parseObject(line []byte, l *Limits) {
	*c = Command{Dialect: Object, Args: [][]byte{[]byte("?")}}
	var q request
	if c.Err = q.decode(line); c.Err != nil {
		return
	}
	c.ID = q.ID
	var args [][]byte
	if args, c.Err = q.args(); c.Err != nil {
		return
	}
	c.Args, c.Spec = args, Lookup(args[0])
	if last := args[len(args)-1]; len(last) > l.Message {
		c.Err = Errorf("text of %d bytes is longer than %d (--max-message)", len(last), l.Message)
	}
	if q.Op == "auth" {
		clear(line) // the password must not stay in a buffer
	}
}

// decode reads the fields, and refuses those that it does not know: a mistyped condition must not subscribe to everything.
func (q *request) decode(line []byte) *Error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(q); err != nil {
		q.ID = nil
		return Errorf("wrong request: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		q.ID = nil
		return Errorf("wrong request: a message holds one JSON object")
	}
	if n := len(q.ID); n > maxRequestID || n > 0 && (q.ID[0] == '{' || q.ID[0] == '[') {
		q.ID = nil
		return Errorf("id must be a string or a number of at most %d bytes", maxRequestID)
	}
	return nil
}

// args are the arguments of the command that the request stands for.
func (q *request) args() (args [][]byte, err *Error) {
	switch q.Op {
	case "publish":
		topics := textFields(q.Topic, q.TopicBase64)
		payload := q.PayloadBase64
		if q.Payload != nil {
			payload = []byte(*q.Payload)
		}
		if len(topics) != 1 || payload == nil {
			return nil, Errorf(`publish needs topic and payload; send {"op":"publish","topic":"news","payload":"hi"}`)
		}
		return [][]byte{[]byte("PUBLISH"), topics[0], payload}, nil
	case "subscribe", "unsubscribe":
		return q.subscription()
	case "auth":
		if q.User == "" {
			return [][]byte{[]byte("AUTH"), []byte(q.Password)}, nil
		}
		return [][]byte{[]byte("AUTH"), []byte(q.User), []byte(q.Password)}, nil
	case "ping":
		return [][]byte{[]byte("PING")}, nil
	}
	return nil, Errorf("op must be publish, subscribe, unsubscribe, auth or ping, not %q", q.Op)
}

// subscription is the command of a subscribe or an unsubscribe, with its names.
func (q *request) subscription() ([][]byte, *Error) {
	command := strings.ToUpper(q.Op)
	names := textFields(q.Topic, q.TopicBase64)
	if patterns := textFields(q.Pattern, q.PatternBase64); len(names) == 0 {
		names, command = patterns, "P"+command
	} else if len(patterns) > 0 {
		return nil, Errorf("topic and pattern exclude each other")
	}
	if len(names) == 0 {
		return nil, Errorf(`%s needs topic or pattern; send {"op":"%s","topic":"news"}`, q.Op, q.Op)
	}
	clauses, err := q.position()
	if err != nil {
		return nil, err
	}
	if clauses != "" && q.Op == "unsubscribe" {
		return nil, Errorf("unsubscribe takes no position")
	}
	if q.Where != "" {
		clauses += " " + whereKeyword + " " + q.Where
	}
	if len(names)*len(clauses) > maxExpanded {
		return nil, Errorf("%d names are too many for a predicate of %d bytes: name fewer", len(names), len(clauses))
	}
	args := make([][]byte, 1, 1+len(names))
	args[0] = []byte(command)
	for _, name := range names {
		for _, word := range []string{whereKeyword, "FROM", "LAST"} {
			if bytes.Contains(name, []byte(" "+word+" ")) {
				return nil, Errorf("a name may not contain %q: use a pattern with [ ] for the space", " "+word+" ")
			}
		}
		args = append(args, append(name, clauses...))
	}
	return args, nil
}

// position is the part of a name that begins a subscription in the past. Empty means now.
func (q *request) position() (string, *Error) {
	switch {
	case q.From != "" && q.After != "" || (q.From != "" || q.After != "") && q.Last != 0:
		return "", Errorf("from, after and last exclude each other")
	case q.Each && q.Last != 1:
		return "", Errorf("each needs last, which must be 1")
	case strings.ContainsAny(strings.TrimPrefix(q.From, "GROUP "), " \t\r\n"):
		return "", Errorf("wrong position: %q", q.From)
	case q.From != "":
		return " FROM " + q.From, nil
	case q.Each:
		return " LAST 1 EACH", nil
	case q.Last != 0:
		return " LAST " + strconv.Itoa(q.Last), nil
	case q.After == "":
		return "", nil
	}
	epoch, digits, _ := strings.Cut(q.After, "-")
	number, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || len(epoch) != 16 || strings.Trim(epoch, hexDigits) != "" {
		return "", Errorf("after must be a position such as a1b2c3d4e5f60718-123, not %q", q.After)
	}
	return " FROM " + epoch + "-" + strconv.FormatUint(number+1, 10), nil
}

// textFields are the texts of a field, those in base64 behind the others.
func textFields(texts []string, base64 [][]byte) (all [][]byte) {
	for _, text := range texts {
		all = append(all, []byte(text))
	}
	return append(all, base64...)
}
