package protocol

import "bytes"

// lineScanner finds the end of one line, strips telnet sequences on the way, and remembers how far it got. Offsets
// count from the first byte of the line, so that the caller may move the bytes between two calls.
type lineScanner struct {
	telnet telnet
	at     int // bytes scanned
	kept   int // bytes of text; they are moved to the front of the buffer as the rest is dropped
}

// next looks at buf, which starts with the line's first byte, and returns the line without its end, and the bytes it
// took. used is 0 if more are needed. It changes buf.
func (s *lineScanner) next(buf []byte, limit int) (line []byte, used int, crlf bool, err *Error) {
	// A person's line holds no telnet sequence: then there is nothing to move, and the fast search finds the end.
	if s.at == s.kept && s.telnet.state == telnetText {
		plain := buf[s.at:]
		if i := bytes.IndexByte(plain, '\n'); i >= 0 {
			plain = plain[:i]
		}
		if i := bytes.IndexByte(plain, iac); i >= 0 {
			plain = plain[:i]
		}
		s.at += len(plain)
		s.kept = s.at
	}
	for ; s.at < len(buf); s.at++ {
		c := buf[s.at]
		text := s.telnet.text(c)
		if text && c == '\n' {
			line, used, raw := buf[:s.kept], s.at+1, s.at
			if crlf = bytes.HasSuffix(line, []byte{'\r'}); crlf {
				line, raw = line[:len(line)-1], raw-1
			}
			s.at, s.kept = 0, 0
			if raw > limit {
				return nil, 0, false, tooLong(limit)
			}
			return line, used, crlf, nil
		}
		if text {
			buf[s.kept] = c
			s.kept++
		}
	}
	// Refuse as soon as it cannot be right any more: one byte over the limit may still be the CR of the line's end. Bytes
	// of telnet sequences count too, or they could fill the memory unseen.
	if s.at > limit+1 || s.at == limit+1 && buf[s.at-1] != '\r' {
		return nil, 0, false, tooLong(limit)
	}
	return nil, 0, false, nil
}

// skip drops the telnet sequences that stand before a command and returns their length. They need not be complete.
func (s *lineScanner) skip(buf []byte) int {
	for i, c := range buf {
		if s.telnet.state == telnetText && c != iac {
			return i
		}
		if s.telnet.text(c) { // iac iac: a line that starts with the byte 0xff
			buf[i] = c
			s.at, s.kept = 1, 1
			return i
		}
	}
	return len(buf)
}

func tooLong(limit int) *Error {
	return fatalf("too big inline request (over --max-line %d)", limit)
}

// word splits a line after its first word. Spaces and tabs separate.
func word(line []byte) (first, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	if i := bytes.IndexAny(line, " \t"); i >= 0 {
		return line[:i], line[i:]
	}
	return line, nil
}

// splitVerb turns what follows a verb into its arguments, by the verb's shape.
func splitVerb(row *Row, rest []byte, args [][]byte) ([][]byte, *Error) {
	if row.Shape == ShapeMessage {
		topic, message := word(rest)
		if len(topic) == 0 || len(message) == 0 {
			return args, Errorf("%s needs a topic, one space, and a message; type: %s", row.Name, row.Usage)
		}
		if err := reserved(row, topic); err != nil {
			return args, err
		}
		return append(args, topic, message[1:]), nil // one separator; further ones belong to the message
	}
	verb := len(args)
	for {
		var name []byte
		if name, rest = word(rest); len(name) == 0 {
			break
		}
		if row.Where && len(args) > verb && string(name) == where {
			predicate := bytes.Trim(rest, " \t")
			if len(predicate) == 0 {
				return args, noPredicate(row)
			}
			names, err := withPredicate(row, args[verb:], predicate)
			return append(args[:verb], names...), err
		}
		if err := reserved(row, name); err != nil {
			return args, err
		}
		args = append(args, name)
	}
	if len(args) < -row.Arity {
		return args, Errorf("%s needs a %s; type: %s", row.Name, bytes.Fields([]byte(row.Usage))[1], row.Usage)
	}
	return args, nil
}

// where stands between names and a predicate.
const where = "WHERE"

// maxSpelt bounds what withPredicate makes of one command: a predicate is sent once, and spelt out for each name.
const maxSpelt = 8 << 20

// withPredicate makes each name one that says its predicate: `orders WHERE price > 100`.
func withPredicate(row *Row, names [][]byte, predicate []byte) ([][]byte, *Error) {
	if len(names)*len(predicate) > maxSpelt {
		return nil, Errorf("%d names are too many for a predicate of %d bytes: name fewer; type: %s", len(names), len(predicate), row.Usage)
	}
	full := make([][]byte, len(names))
	for i, name := range names {
		full[i] = bytes.Join([][]byte{name, []byte(where), predicate}, []byte{' '})
	}
	return full, nil
}

func noPredicate(row *Row) *Error {
	return Errorf("WHERE needs a predicate behind it, such as price > 100; type: %s", row.Usage)
}

// reserved keeps three words free, so that a later version can give them a meaning without changing anybody's.
func reserved(row *Row, name []byte) *Error {
	switch string(name) {
	case where, "FROM", "LAST":
		return Errorf("%s is reserved and cannot be a topic here; type: %s", name, row.Usage)
	}
	return nil
}
