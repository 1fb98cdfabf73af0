package web

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// object is a JSON object in its order.
type object []field

type field struct {
	name  string
	value any
}

// MarshalJSON encodes an object. Text that is not UTF-8 stands in a field NAME_base64, as in
// conch sub --json.
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, f := range o {
		name, value := f.name, f.value
		if text, ok := value.([]byte); ok {
			if utf8.Valid(text) {
				value = string(text)
			} else {
				name, value = name+"_base64", base64.StdEncoding.EncodeToString(text)
			}
		}
		encoded, err := encode(value)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(strconv.AppendQuote(b, name), ':'), encoded...)
	}
	return append(b, '}'), nil
}

// encode is json.Marshal without escapes for HTML: no answer is HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("a value without JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// toJSON makes what a JSON encoder takes of a reply. Lists may be empty, but are not null.
func toJSON(reply any) any {
	switch v := reply.(type) {
	case pairs:
		o := make(object, 0, len(v)/2)
		for i := 0; i+1 < len(v); i += 2 {
			name, _ := v[i].([]byte)
			o = append(o, field{string(name), toJSON(v[i+1])})
		}
		return o
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = toJSON(v[i])
			if text, ok := list[i].([]byte); ok {
				list[i] = string(text) // of users, rules and flags, which are UTF-8 or replaced by it
			}
		}
		return list
	}
	return reply
}

// get returns the value of a field, nil if there is none.
func (o object) get(name string) any {
	for _, f := range o {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// pick returns the fields of these names, in this order.
func (o object) pick(names ...string) object {
	picked := make(object, 0, len(names))
	for _, name := range names {
		picked = append(picked, field{name, o.get(name)})
	}
	return picked
}
