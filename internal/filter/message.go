package filter

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/tidwall/gjson"
)

// Message is the input of predicates. It decodes lazily: nothing before a predicate reads a field, and then each object
// and array on the path once, however many predicates follow. It is not safe for concurrent use. Reset reuses it for the
// next message. The zero value is an empty message.
type Message struct {
	topic, payload string // alias the caller's bytes; payload is empty until load if there is a source
	limits         Limits
	source         Source // nil if the payload is at hand, and there are no headers
	loaded         bool   // load has run

	decoded  bool         // decode has run
	root     *composite   // the payload; nil if it has no fields
	expanded []*composite // pool: the first used ones belong to this message
	used     int
}

// composite is a decoded object or array; its children are decoded on demand.
type composite struct {
	isArray bool
	members []member
	names   map[string]int32   // first index of each name; only above mapThreshold
	values  map[value]struct{} // elements of an array; only above mapThreshold and after the first `in`
}

type member struct {
	name  string // empty in an array
	value value
}

// mapThreshold is the number of members above which a map finds one faster than a scan.
const mapThreshold = 12

// Source is a message whose parts are made when a predicate reads them, such as an entry of a stream. Payload is called
// once at most, and not if Size is beyond Limits.Payload.
type Source interface {
	Size() int // of the payload, in bytes
	Payload() []byte
	Header(name string) (text []byte, ok bool)
}

// maxPooled bounds the composites that Reset keeps, and the members for which each keeps memory.
const maxPooled = 64

// Reset sets the topic and payload of m. The caller must not change either before the next Reset.
func (m *Message) Reset(topic, payload []byte, l Limits) {
	m.topic, m.payload = unsafeString(topic), unsafeString(payload)
	m.limits, m.source = l, nil
	m.decoded, m.root = false, nil
	for _, c := range m.expanded[:m.used] {
		c.clear()
	}
	m.used = 0
	if len(m.expanded) > maxPooled {
		m.expanded = slices.Clone(m.expanded[:maxPooled])
	}
}

// ResetSource is Reset for a message that has headers, and a payload that is made on demand. The source must stay as it is
// before the next Reset.
func (m *Message) ResetSource(topic []byte, s Source, l Limits) {
	m.Reset(topic, nil, l)
	m.source, m.loaded = s, false
}

// load returns the payload. It is false for one beyond the limit.
func (m *Message) load() (payload string, ok bool) {
	if m.source != nil && !m.loaded {
		if m.source.Size() > m.limits.payload() {
			return "", false
		}
		m.payload, m.loaded = unsafeString(m.source.Payload()), true
	}
	return m.payload, len(m.payload) <= m.limits.payload()
}

// size is the length of the payload.
func (m *Message) size() int {
	if m.source != nil {
		return m.source.Size()
	}
	return len(m.payload)
}

// header returns the value of a header, by the rule for a field of an entry: a number if its text is one.
func (m *Message) header(name string) (value, bool) {
	if m.source == nil {
		return value{}, false
	}
	text, ok := m.source.Header(name)
	if !ok || len(text) > m.limits.payload() {
		return value{}, false
	}
	if IsNumber(text) {
		return parseNumber(unsafeString(text))
	}
	return strValue(unsafeString(text)), true
}

// hasHeader reports whether a header exists.
func (m *Message) hasHeader(name string) bool {
	if m.source == nil {
		return false
	}
	_, ok := m.source.Header(name)
	return ok
}

// unsafeString returns b as a string without a copy. It is valid until b changes: predicates keep no part of it.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// clear drops references to the message, and memory beyond that of an ordinary one.
func (c *composite) clear() {
	if cap(c.members) > maxPooled {
		c.members = nil
	}
	clear(c.members)
	*c = composite{members: c.members[:0]}
}

// lookup returns the member at the end of a path, or nil. It is valid until the next Reset.
func (m *Message) lookup(p path) *member {
	if !m.decoded {
		m.decode()
	}
	c := m.root
	for _, s := range p[:len(p)-1] {
		found := c.member(s)
		if found == nil {
			return nil
		}
		c = m.children(found)
	}
	return c.member(p[len(p)-1])
}

// decode sets root if the payload is a JSON object. gjson recurses, so decode checks the depth first.
func (m *Message) decode() {
	m.decoded = true
	payload, ok := m.load()
	if !ok || !startsObject(payload) {
		return
	}
	if exceedsDepth(payload, m.limits.depth()) || !utf8.ValidString(payload) || !gjson.Valid(payload) {
		return
	}
	m.root = m.expand(payload)
}

func startsObject(s string) bool {
	for i := range len(s) {
		switch s[i] {
		case ' ', '\t', '\n', '\r':
			continue
		}
		return s[i] == '{'
	}
	return false
}

// exceedsDepth reports whether braces and brackets outside of strings nest deeper than depth. It is exact up to the first
// syntax error in s, which is enough: gjson stops there.
func exceedsDepth(s string, depth int) bool {
	if strings.Count(s, "{")+strings.Count(s, "[") <= depth { // the fast and usual case
		return false
	}
	at := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			i = endOfString(s, i+1)
		case '{', '[':
			at++
			if at > depth {
				return true
			}
		case '}', ']':
			at--
		}
	}
	return false
}

// endOfString is the index of the quote that ends the string around i.
func endOfString(s string, i int) int {
	for ; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' {
			i++
		}
	}
	return i
}

// children returns the decoded object or array of a member, or nil for any other value.
func (m *Message) children(of *member) *composite {
	if of.value.kind&(object|array) == 0 {
		return nil
	}
	if of.value.bits == 0 {
		m.expand(of.value.text)
		of.value.bits = uint64(m.used) // its index in expanded, plus 1
	}
	return m.expanded[of.value.bits-1]
}

// expand decodes one object or array, without its children.
func (m *Message) expand(raw string) *composite {
	if m.used == len(m.expanded) {
		m.expanded = append(m.expanded, new(composite))
	}
	c := m.expanded[m.used]
	m.used++
	all := gjson.Result{Type: gjson.JSON, Raw: raw}
	c.isArray = all.IsArray()
	if len(raw) > countFirstAt {
		c.members = make([]member, 0, count(all))
	}
	all.ForEach(func(name, v gjson.Result) bool {
		c.members = append(c.members, member{name: unquote(name), value: valueOf(v)})
		return true
	})
	if !c.isArray && len(c.members) > mapThreshold {
		c.index()
	}
	return c
}

// countFirstAt is the size in bytes above which expand counts members before it allocates: growing by append would take
// five times the memory.
const countFirstAt = 4 << 10

func count(all gjson.Result) (n int) {
	all.ForEach(func(_, _ gjson.Result) bool {
		n++
		return true
	})
	return n
}

func (c *composite) index() {
	c.names = make(map[string]int32, len(c.members))
	for i := range c.members {
		if _, twice := c.names[c.members[i].name]; !twice {
			c.names[c.members[i].name] = int32(i)
		}
	}
}

// member returns a member by name or index, or nil. A nil composite has no members.
func (c *composite) member(s step) *member {
	switch {
	case c == nil || c.isArray != s.byIndex:
		return nil
	case s.byIndex:
		if s.index < len(c.members) {
			return &c.members[s.index]
		}
		return nil
	case c.names != nil:
		if i, ok := c.names[s.name]; ok {
			return &c.members[i]
		}
		return nil
	}
	for i := range c.members {
		if c.members[i].name == s.name {
			return &c.members[i]
		}
	}
	return nil
}

// contains reports whether an array has a scalar as an element. Elements that are no scalars equal nothing.
func (c *composite) contains(v value) bool {
	if len(c.members) <= mapThreshold {
		for i := range c.members {
			if c.members[i].value == v {
				return true
			}
		}
		return false
	}
	if c.values == nil {
		c.values = map[value]struct{}{}
		for i := range c.members {
			if e := c.members[i].value; e.kind&scalar != 0 {
				c.values[e] = struct{}{}
			}
		}
	}
	_, ok := c.values[v]
	return ok
}

// valueOf converts a JSON value.
func valueOf(r gjson.Result) value {
	switch r.Type {
	case gjson.True:
		return boolValue(true)
	case gjson.False:
		return boolValue(false)
	case gjson.String:
		return strValue(unquote(r))
	case gjson.Number:
		if v, ok := parseNumber(r.Raw); ok {
			return v
		}
		return value{kind: unrepresentable}
	case gjson.JSON:
		if r.Raw[0] == '[' {
			return value{kind: array, text: r.Raw}
		}
		return value{kind: object, text: r.Raw}
	}
	return value{kind: null}
}

// unquote returns the text of a JSON string. gjson drops the character after half a surrogate pair (\ud800A), so
// encoding/json decodes such strings: it replaces the half by U+FFFD and keeps the rest.
func unquote(r gjson.Result) string {
	escaped := len(r.Raw) != len(r.Str)+2
	if escaped && (strings.Contains(r.Raw, `\ud`) || strings.Contains(r.Raw, `\uD`)) {
		var s string
		if json.Unmarshal([]byte(r.Raw), &s) == nil {
			return s
		}
	}
	return r.Str
}
