package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/conchmq/conch/protocol"
)

// linesPrinter prints a reply as lines: an element of a list per line, "key: value" for a map, deeper levels indented.
type linesPrinter struct{ out *bufio.Writer }

func (p linesPrinter) begin(it item, at place) {
	switch inMap := at.within == '%' && !at.isKey; {
	case it.count == 0:
		p.lead(at)
		_, _ = p.out.WriteString("(empty)\n") // Flush has the error, here and below
	case inMap:
		_ = p.out.WriteByte('\n')
	case at.depth > 0:
		p.lead(at)
		_, _ = p.out.WriteString("-\n")
	}
}

func (linesPrinter) end(item, place) {}

func (p linesPrinter) scalar(it item, at place) {
	p.lead(at)
	text := plainText(it)
	if at.depth == 0 { // such as INFO, which has lines of its own
		for line := range bytes.Lines(text) {
			_, _ = p.out.Write(append(protocol.EscapeMessage(nil, bytes.TrimRight(line, "\r\n")), '\n'))
		}
		if len(text) > 0 {
			return
		}
	}
	end := byte('\n')
	if at.isKey {
		end = ':'
	}
	_, _ = p.out.Write(append(protocol.EscapeMessage(nil, text), end))
}

// lead indents a line. The value of a key stands behind it.
func (p linesPrinter) lead(at place) {
	switch {
	case at.within == '%' && !at.isKey:
		_ = p.out.WriteByte(' ')
	case at.depth > 1:
		_, _ = p.out.WriteString(strings.Repeat("  ", at.depth-1))
	}
}

func plainText(it item) []byte {
	switch {
	case it.kind == '_':
		return []byte("(nil)")
	case it.kind == '-' || it.kind == '!':
		return append([]byte("(error) "), it.text...)
	case it.kind == '#' && string(it.text) == "t":
		return []byte("true")
	case it.kind == '#':
		return []byte("false")
	}
	return it.text
}

// jsonPrinter prints a reply as one JSON value. A map is an object; keys that are no texts become texts.
type jsonPrinter struct{ out *bufio.Writer }

func (p jsonPrinter) separate(at place) {
	switch {
	case at.within == '%' && !at.isKey:
		_ = p.out.WriteByte(':')
	case at.depth > 0 && at.index > 0:
		_ = p.out.WriteByte(',')
	}
}

func brackets(it item) string {
	if it.kind == '%' {
		return "{}"
	}
	return "[]"
}

func (p jsonPrinter) begin(it item, at place) {
	p.separate(at)
	_ = p.out.WriteByte(brackets(it)[0])
}

func (p jsonPrinter) end(it item, at place) {
	_ = p.out.WriteByte(brackets(it)[1])
	if at.depth == 0 {
		_ = p.out.WriteByte('\n')
	}
}

func (p jsonPrinter) scalar(it item, at place) {
	p.separate(at)
	text := string(plainText(it))
	var value any = text
	switch {
	case at.isKey:
		value = strings.ToValidUTF8(text, "\uFFFD")
	case it.kind == '_':
		value = nil
	case it.kind == '#':
		value = text == "true"
	case it.kind == ':' || it.kind == '(' || it.kind == ',' && json.Valid(it.text):
		value = json.RawMessage(it.text)
	case it.kind == '-' || it.kind == '!':
		value = map[string]string{"error": strings.ToValidUTF8(string(it.text), "\uFFFD")}
	case !utf8.ValidString(text):
		value = map[string][]byte{"base64": it.text}
	}
	line, err := json.Marshal(value)
	if err != nil { // a number that is none
		line = fmt.Appendf(nil, "%q", text)
	}
	if _, _ = p.out.Write(line); at.depth == 0 {
		_ = p.out.WriteByte('\n')
	}
}
