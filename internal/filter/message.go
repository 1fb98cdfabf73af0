package filter

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/tidwall/gjson"
)

// Message is one message as predicates see it. Nothing of its payload is looked at before a predicate reads a field,
// and then each object and array that is read from is taken apart once, however many predicates follow. One goroutine
// at a time may use it; Reset makes it the next message. The zero value is an empty one.
type Message struct {
	topic, payload string // alias the caller's bytes
	limits         Limits

	decoded  bool         // whether root has been looked for
	root     *composite   // the payload, nil if it has no fields
	expanded []*composite // the first used of them are of this message, the others are kept for the next
	used     int
}

// composite is an object or an array, taken apart.
type composite struct {
	isArray bool
	members []member
	names   map[string]int32   // where each name is first, if there are many
	values  map[value]struct{} // the elements of an array, if there are many and somebody asked what is in it
}

type member struct {
	name  string // empty in an array
	value value
}

// mapThreshold members are found by a map: up to there, looking at each is faster.
const mapThreshold = 12

// maxPooled is how many composites are kept when their message is over, and for how many members each keeps room.
const maxPooled = 64

// Reset makes m the message with this topic and payload. Neither may change before the next Reset.
func (m *Message) Reset(topic, payload []byte, l Limits) {
	m.topic, m.payload = unsafeString(topic), unsafeString(payload)
	m.limits = l
	m.decoded, m.root = false, nil
	for _, c := range m.expanded[:m.used] {
		c.clear()
	}
	m.used = 0
	if len(m.expanded) > maxPooled {
		m.expanded = slices.Clone(m.expanded[:maxPooled])
	}
}

// unsafeString is b as a string, for as long as nobody writes to it. Predicates neither write to it nor keep any of it.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// clear lets go of the message, and of room that an ordinary one will not need.
func (c *composite) clear() {
	if cap(c.members) > maxPooled {
		c.members = nil
	}
	clear(c.members)
	*c = composite{members: c.members[:0]}
}

// lookup finds the member at the end of a path, or nil. It holds until the next Reset.
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

// decode looks whether the payload is a JSON object. What it calls recurses, so the nesting is bounded first.
func (m *Message) decode() {
	m.decoded = true
	if len(m.payload) > m.limits.payload() || !startsObject(m.payload) {
		return
	}
	if exceedsDepth(m.payload, m.limits.depth()) || !utf8.ValidString(m.payload) || !gjson.Valid(m.payload) {
		return
	}
	m.root = m.expand(m.payload)
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

// exceedsDepth tells whether braces and brackets outside of strings go deeper than depth. Up to the first error in s it reads
// strings as JSON does; behind it, nobody goes.
func exceedsDepth(s string, depth int) bool {
	if strings.Count(s, "{")+strings.Count(s, "[") <= depth { // much faster, and nearly always enough
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

// endOfString is where the quote stands that ends the string that i is in.
func endOfString(s string, i int) int {
	for ; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' {
			i++
		}
	}
	return i
}

// children is what an object or array has in it, and nil for any other value.
func (m *Message) children(of *member) *composite {
	if of.value.kind&(object|array) == 0 {
		return nil
	}
	if of.value.bits == 0 {
		m.expand(of.value.text)
		of.value.bits = uint64(m.used) // its number in expanded, from 1
	}
	return m.expanded[of.value.bits-1]
}

// expand takes one object or array apart, and not what is in it.
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

// countFirstAt is from how many bytes on members are counted before room is made for them: letting the slice grow would cost
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

// member finds one by its name or place, or nil. A nil composite has none.
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

// contains tells whether a scalar is among the elements of an array. Those that are none are equal to nothing.
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

// valueOf is a JSON value as predicates know it.
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

// unquote is the text of a JSON string. gjson drops what follows half a surrogate pair (\ud800A), so such strings
// are read by the standard library, which puts U+FFFD for the half and keeps the rest.
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
