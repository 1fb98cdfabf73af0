package entry

import "github.com/conchmq/conch/internal/stream"

// Field is the name of the field that is the message.
const Field = stream.MessageField

// maxPooled is the size up to which a Message keeps its buffer for the next entry.
const maxPooled = 64 << 10

// Message is an entry as a message. It builds nothing before that is read. The zero value is an entry without fields. It is
// not safe for concurrent use; Reset reuses it for the next entry. It is a source of predicates.
type Message struct {
	fields  cursor
	text    []byte // of the field message
	at      int    // the index of that field, plus 1; 0 if there is none
	size    int    // of the JSON object, plus 1; 0 if it is not known
	built   bool   // buffer has the JSON object
	buffer  []byte
	members members
}

// Reset makes m the entry with these fields. They alias the record, which must stay as it is before the next Reset.
func (m *Message) Reset(f stream.Fields) { m.reset(cursor{stored: f}) }

// ResetTexts is Reset for names and values in turn, as in the reply to XRANGE.
func (m *Message) ResetTexts(texts [][]byte) { m.reset(cursor{texts: texts}) }

func (m *Message) reset(f cursor) {
	m.fields, m.text, m.at = f, nil, 0
	m.size, m.built = 0, false
	if cap(m.buffer) > maxPooled {
		m.buffer = nil
	}
	m.members.clear()
	for i := 1; ; i++ {
		name, value, ok := f.next()
		if !ok {
			return
		}
		if string(name) == Field {
			m.text, m.at = value, i
			return
		}
	}
}

// IsWhole reports whether the payload is the field message.
func (m *Message) IsWhole() bool { return m.at > 0 }

// Size is the length of the payload. It builds nothing.
func (m *Message) Size() int {
	if m.IsWhole() {
		return len(m.text)
	}
	if m.size == 0 {
		w := writer{counts: true}
		m.writeObject(&w)
		m.size = w.n + 1
	}
	return m.size - 1
}

// Payload is the message: a part of the record, or a JSON object in a buffer of m. It is valid until the next Reset.
func (m *Message) Payload() []byte {
	if m.IsWhole() {
		return m.text
	}
	if !m.built {
		m.buffer, m.built = m.AppendPayload(m.buffer[:0]), true
	}
	return m.buffer
}

// AppendPayload appends the message.
func (m *Message) AppendPayload(dst []byte) []byte {
	if m.IsWhole() {
		return append(dst, m.text...)
	}
	w := writer{dst: dst}
	m.writeObject(&w)
	return w.dst
}

// Header returns the value of the first header with that name. It is a part of the record.
func (m *Message) Header(name string) (value []byte, ok bool) {
	if !m.IsWhole() {
		return nil, false
	}
	f := m.fields
	for i := 1; ; i++ {
		field, value, ok := f.next()
		if !ok {
			return nil, false
		}
		if i != m.at && string(field) == name {
			return value, true
		}
	}
}

// HasHeaders reports whether there is a field beside message.
func (m *Message) HasHeaders() bool { return m.IsWhole() && m.fields.len() > 1 }

// AppendHeaders appends the headers as a JSON object, by the rules for fields.
func (m *Message) AppendHeaders(dst []byte) []byte {
	if !m.HasHeaders() {
		return append(dst, "{}"...)
	}
	w := writer{dst: dst}
	m.writeObject(&w)
	return w.dst
}

// writeObject writes the JSON object of all fields but message.
func (m *Message) writeObject(w *writer) {
	m.members.build(m.fields, m.at)
	m.members.write(w)
}

// cursor goes through fields.
type cursor struct {
	stored stream.Fields
	texts  [][]byte // names and values in turn, if they are not stored
}

// next returns the next field.
func (c *cursor) next() (name, value []byte, ok bool) {
	if len(c.texts) > 1 {
		name, value, c.texts = c.texts[0], c.texts[1], c.texts[2:]
		return name, value, true
	}
	if name, ok = c.stored.Next(); !ok {
		return nil, nil, false
	}
	value, ok = c.stored.Next()
	return name, value, ok
}

// len returns how many fields are left.
func (c *cursor) len() int { return (len(c.texts) + c.stored.Len()) / 2 }
