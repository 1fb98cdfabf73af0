package connect

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// Template is a text with parts in braces that each message fills in: orders.{routing_key}. It is not changed after ParseTemplate.
type Template struct {
	text  string
	parts []part
}

// part is a literal, or the name of something that a message has.
type part struct {
	literal string
	name    string // as it stands in the braces; empty for a literal
	header  string // of {header.NAME}
	field   string // of {field.PATH}, for gjson
}

// MissingPart is the error of a message that lacks what a template names. It is the message's fault: to try again does not help.
type MissingPart struct{ Template, Part string }

func (m *MissingPart) Error() string {
	return fmt.Sprintf("the message has nothing for {%s} of the template %s", m.Part, strconv.Quote(m.Template))
}

// ParseTemplate reads a template. Its error names the column, counted from 1.
func ParseTemplate(text string) (*Template, error) {
	t := &Template{text: text}
	for at := 0; at < len(text); {
		rest := text[at:]
		switch n := strings.IndexAny(rest, "{}"); {
		case n < 0:
			t.parts = append(t.parts, part{literal: rest})
			at = len(text)
		case n > 0:
			t.parts = append(t.parts, part{literal: rest[:n]})
			at += n
		default:
			end := strings.IndexByte(rest, '}')
			if rest[0] == '}' || end < 0 {
				return nil, &TextError{at + 1, "a brace without its partner; a part is {NAME}, {header.NAME} or {field.PATH}"}
			}
			p, err := parsePart(rest[1:end])
			if err != "" {
				return nil, &TextError{at + 1, err}
			}
			t.parts = append(t.parts, p)
			at += end + 1
		}
	}
	return t, nil
}

// parsePart reads what stands in braces.
func parsePart(name string) (p part, err string) {
	p.name = name
	kind, rest, dotted := strings.Cut(name, ".")
	switch {
	case kind == "header" && rest != "":
		p.header = rest
	case kind == "field" && rest != "":
		if strings.ContainsAny(rest, `*?#|@!\`) || strings.HasPrefix(rest, ".") || strings.HasSuffix(rest, ".") {
			return p, fmt.Sprintf("{%s} is no path of fields, such as {field.user.id}", name)
		}
		p.field = rest
	case name == "" || dotted || strings.ContainsAny(name, "{ "):
		return p, fmt.Sprintf("{%s} is no part; a part is {NAME}, {header.NAME} or {field.PATH}", name)
	}
	return p, ""
}

// String is the template as it was written.
func (t *Template) String() string { return t.text }

// Fixed is the text of a template without parts.
func (t *Template) Fixed() (text string, ok bool) {
	for i := range t.parts {
		if t.parts[i].name != "" {
			return "", false
		}
	}
	return t.text, true
}

// Names are the names of the parts that are neither headers nor fields: those of metadata.
func (t *Template) Names() (names []string) {
	for i := range t.parts {
		if p := &t.parts[i]; p.name != "" && p.header == "" && p.field == "" {
			names = append(names, p.name)
		}
	}
	return names
}

// Expand fills in the parts of a message. A part goes through escape before it is joined, unless escape is nil. A part that is missing
// or empty is a *MissingPart.
func (t *Template) Expand(m *Message, escape func(string) string) (string, error) {
	if len(t.parts) == 1 && t.parts[0].name == "" {
		return t.text, nil
	}
	var b strings.Builder
	for i := range t.parts {
		p := &t.parts[i]
		if p.name == "" {
			b.WriteString(p.literal)
			continue
		}
		text := p.of(m)
		if text == "" {
			return "", &MissingPart{t.text, p.name}
		}
		if escape != nil {
			text = escape(text)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// of is what a message has for a part.
func (p *part) of(m *Message) string {
	switch {
	case p.header != "":
		text, _ := m.Header(p.header)
		return text
	case p.field != "":
		return fieldOf(m.Payload, p.field)
	}
	if text, ok := m.Meta[p.name]; ok {
		return text
	}
	switch p.name {
	case "topic":
		return m.Topic
	case "id":
		return m.ID
	case "partition":
		return m.Partition
	}
	return ""
}

// fieldOf is a string, a number or a boolean of a JSON object; empty if the payload has none at this path.
func fieldOf(payload []byte, path string) string {
	if !bytes.HasPrefix(bytes.TrimLeft(payload, " \t\r\n"), []byte{'{'}) || !gjson.ValidBytes(payload) {
		return ""
	}
	switch found := gjson.GetBytes(payload, path); found.Type {
	case gjson.String, gjson.True, gjson.False:
		return found.String()
	case gjson.Number:
		return found.Raw // as it is written: an id of twenty digits stays one
	default:
		return ""
	}
}

// glob is a glob that all texts of the template match.
func (t *Template) glob() string {
	var b strings.Builder
	for i := range t.parts {
		if t.parts[i].name != "" {
			b.WriteByte('*')
			continue
		}
		for _, c := range []byte(t.parts[i].literal) {
			if strings.IndexByte(`*?[]\`, c) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(c)
		}
	}
	return b.String()
}
