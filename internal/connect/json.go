package connect

import (
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"
)

// AppendJSON appends the message as an object with the members that messages have over HTTP: topic, id, headers, and payload. Bytes that
// are no UTF-8 are in base64, in a member NAME_base64.
func (m *Message) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	dst = appendMember(dst, "topic", []byte(m.Topic))
	if m.ID != "" {
		dst = appendMember(append(dst, ','), "id", []byte(m.ID))
	}
	if len(m.Headers) > 0 {
		dst = append(dst, `,"headers":{`...)
		for i, h := range m.Headers {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendMember(dst, h.Name, []byte(h.Value))
		}
		dst = append(dst, '}')
	}
	return append(appendMember(append(dst, ','), "payload", m.Payload), '}')
}

func appendMember(dst []byte, name string, value []byte) []byte {
	text, isText := string(value), utf8.Valid(value)
	if !isText {
		name, text = name+"_base64", base64.StdEncoding.EncodeToString(value)
	}
	for i, s := range []string{name, text} {
		quoted, _ := json.Marshal(s) // a string has one; invalid UTF-8 of a name is replaced
		if dst = append(dst, quoted...); i == 0 {
			dst = append(dst, ':')
		}
	}
	return dst
}
