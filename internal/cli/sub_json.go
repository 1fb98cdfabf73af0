package cli

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/conchmq/conch/client"
)

// eventJSON is an event of a subscription as one JSON object. What does not belong to the kind of event is left out.
// Texts that anybody may have sent are there twice: as a string where they are UTF-8, or else as base64.
type eventJSON struct {
	Event         string  `json:"event"` // message, missed, disconnected or reconnected
	Topic         *string `json:"topic,omitempty"`
	TopicBase64   []byte  `json:"topic_base64,omitempty"`
	Pattern       *string `json:"pattern,omitempty"` // the name by which a message came, if that is no topic
	PatternBase64 []byte  `json:"pattern_base64,omitempty"`
	Payload       *string `json:"payload,omitempty"`
	PayloadBase64 []byte  `json:"payload_base64,omitempty"`
	Name          *string `json:"name,omitempty"` // whose messages were missed
	NameBase64    []byte  `json:"name_base64,omitempty"`
	Count         int     `json:"count,omitempty"` // how many; not there: nobody knows
	Error         string  `json:"error,omitempty"`
	Epoch         string  `json:"epoch,omitempty"`
	SameEpoch     *bool   `json:"same_epoch,omitempty"`
	Sequence      *uint64 `json:"sequence,omitempty"`
	Previous      *uint64 `json:"previous,omitempty"`
	After         *uint64 `json:"after,omitempty"` // what may have been missed has a sequence over this one
	Before        *uint64 `json:"before,omitempty"`
}

// textJSON is a text in the form in which JSON can have it.
func textJSON(b []byte) (text *string, base64 []byte) {
	if !utf8.Valid(b) {
		return nil, b
	}
	s := string(b)
	return &s, nil
}

func newEventJSON(e client.Event) (j eventJSON) {
	switch e := e.(type) {
	case *client.Message:
		j.Event, j.Epoch = "message", e.Epoch
		j.Topic, j.TopicBase64 = textJSON([]byte(e.Topic))
		j.Payload, j.PayloadBase64 = textJSON(e.Payload)
		if e.Pattern != "" {
			j.Pattern, j.PatternBase64 = textJSON([]byte(e.Pattern))
		}
		if e.Sequence > 0 {
			j.Sequence, j.Previous = &e.Sequence, &e.Previous
		}
	case *client.Missed:
		j.Event, j.Count = "missed", e.Count
		j.Name, j.NameBase64 = textJSON([]byte(e.Name))
		if e.After > 0 {
			j.After = &e.After
		}
		if e.Before > 0 {
			j.Before = &e.Before
		}
	case *client.Disconnected:
		j.Event, j.Error = "disconnected", e.Err.Error()
	case *client.Reconnected:
		j.Event, j.Epoch = "reconnected", e.Epoch
		if e.Epoch != "" {
			j.SameEpoch, j.After, j.Before = &e.SameEpoch, &e.After, &e.Before
		}
	}
	return j
}

// appendJSON appends a value and a newline. The value is one that JSON has.
func appendJSON(dst []byte, value any) []byte {
	b := bytes.NewBuffer(dst)
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // there is nothing in it that could fail
	return b.Bytes()
}
