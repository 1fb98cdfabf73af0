package entry

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/conchmq/conch/internal/filter"
)

// members are the members of a JSON object, made of fields. The bytes of names and values are mostly those of the record.
type members struct {
	all   []member
	built bool
}

// member is one value. Values with the same name are linked: they become one array.
type member struct {
	name, value []byte // the name is UTF-8
	form        form
	later       bool  // an earlier value has the same name
	next        int32 // the index of the next value with the same name; 0 if there is none
}

// form is how a value is written.
type form uint8

const (
	formText form = iota
	formNumber
	formBase64
)

// fewMembers is the number of members up to which link compares each with each.
const fewMembers = 16

// keptMembers is the number of members for which clear keeps memory.
const keptMembers = 64

// clear drops the references to the record, and memory beyond that of an ordinary entry.
func (s *members) clear() {
	s.built = false
	if cap(s.all) > keptMembers {
		s.all = nil
	}
	clear(s.all)
	s.all = s.all[:0]
}

// build makes the members of all fields but one, which is counted from 1.
func (s *members) build(f cursor, without int) {
	if s.built {
		return
	}
	s.built = true
	if n := f.len(); n > keptMembers {
		s.all = make([]member, 0, n)
	}
	for i := 1; ; i++ {
		name, value, ok := f.next()
		if !ok {
			break
		}
		if i != without {
			s.all = append(s.all, memberOf(name, value))
		}
	}
	if len(s.all) > fewMembers {
		s.linkMany()
	} else {
		s.linkFew()
	}
}

func memberOf(name, value []byte) member {
	if !utf8.Valid(name) {
		name = escapeInvalid(name)
	}
	switch {
	case filter.IsNumber(value):
		return member{name: name, value: value, form: formNumber}
	case utf8.Valid(value):
		return member{name: name, value: value}
	}
	return member{name: append(name[:len(name):len(name)], "_base64"...), value: value, form: formBase64}
}

// escapeInvalid writes bytes that are no UTF-8 as \xNN.
func escapeInvalid(text []byte) (escaped []byte) {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			escaped = fmt.Appendf(escaped, `\x%02x`, text[0])
		} else {
			escaped = append(escaped, text[:size]...)
		}
		text = text[size:]
	}
	return escaped
}

// linkFew links members with the same name.
func (s *members) linkFew() {
	for i := range s.all {
		for j := i + 1; j < len(s.all); j++ {
			if bytes.Equal(s.all[i].name, s.all[j].name) {
				s.link(i, j)
				break
			}
		}
	}
}

// linkMany does it by sorting: an entry may have half a million fields, and all may have one name.
func (s *members) linkMany() {
	order := make([]int32, len(s.all))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return bytes.Compare(s.all[a].name, s.all[b].name) })
	for i := 1; i < len(order); i++ {
		if a, b := order[i-1], order[i]; bytes.Equal(s.all[a].name, s.all[b].name) {
			s.link(int(a), int(b))
		}
	}
}

func (s *members) link(earlier, later int) {
	s.all[earlier].next, s.all[later].later = int32(later), true
}

// write writes the object.
func (s *members) write(w *writer) {
	open := "{"
	for i := range s.all {
		m := &s.all[i]
		if m.later {
			continue
		}
		w.raw(open)
		open = ","
		w.text(m.name)
		w.raw(":")
		if m.next == 0 {
			w.value(m)
			continue
		}
		w.raw("[")
		for w.value(m); m.next != 0; w.value(m) {
			w.raw(",")
			m = &s.all[m.next]
		}
		w.raw("]")
	}
	if open == "{" {
		w.raw(open)
	}
	w.raw("}")
}
