package cli

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/conchmq/conch/client"
)

// eventJSON is an event as one JSON object, with the fields of its kind. A text from the wire is a string if it is UTF-8,
// and base64 in another field if not.
type eventJSON struct {
	Event         string  `json:"event"` // message, missed, disconnected, resumed or reconnected
	Topic         *string `json:"topic,omitempty"`
	TopicBase64   []byte  `json:"topic_base64,omitempty"`
	Pattern       *string `json:"pattern,omitempty"` // the pattern that matched; absent: the topic itself
	PatternBase64 []byte  `json:"pattern_base64,omitempty"`
	Payload       *string `json:"payload,omitempty"`
	PayloadBase64 []byte  `json:"payload_base64,omitempty"`
	Name          *string `json:"name,omitempty"` // topic or pattern with missed messages
	NameBase64    []byte  `json:"name_base64,omitempty"`
	Count         int     `json:"count,omitempty"` // absent: unknown
	Error         string  `json:"error,omitempty"`
	Epoch         string  `json:"epoch,omitempty"`
	SameEpoch     *bool   `json:"same_epoch,omitempty"`
	Sequence      *uint64 `json:"sequence,omitempty"`
	Previous      *uint64 `json:"previous,omitempty"`
	After         *uint64 `json:"after,omitempty"` // missed messages have larger sequences than this
	Before        *uint64 `json:"before,omitempty"`
}

// textJSON returns a text as a string, or as bytes if it is not UTF-8.
func textJSON(b []byte) (text *string, base64 []byte) {
	if !utf8.Valid(b) {
		return nil, b
	}
	s := string(b)
	return &s, nil
}

// newEventJSON makes the object of an event. sequences shows those of messages.
func newEventJSON(e client.Event, sequences bool) (j eventJSON) {
	switch e := e.(type) {
	case *client.Message:
		j.Event = "message"
		j.Topic, j.TopicBase64 = textJSON([]byte(e.Topic))
		j.Payload, j.PayloadBase64 = textJSON(e.Payload)
		if e.Pattern != "" {
			j.Pattern, j.PatternBase64 = textJSON([]byte(e.Pattern))
		}
		if sequences && e.Sequence > 0 {
			j.Epoch, j.Sequence, j.Previous = e.Epoch, &e.Sequence, &e.Previous
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
	case *client.Resumed:
		j.Event, j.Epoch, j.After = "resumed", e.Epoch, &e.After
	case *client.Reconnected:
		j.Event, j.Epoch = "reconnected", e.Epoch
		if e.Epoch != "" {
			j.SameEpoch, j.After, j.Before = &e.SameEpoch, &e.After, &e.Before
		}
	}
	return j
}

// appendJSON appends a value and a newline. The value must be one that JSON can encode.
func appendJSON(dst []byte, value any) []byte {
	b := bytes.NewBuffer(dst)
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // cannot fail for such a value
	return b.Bytes()
}
