package protocol

import "bytes"

// lineScanner finds the end of one line, strips telnet sequences on the way, and remembers how far it got. Offsets
// count from the first byte of the line, so that the caller may move the bytes between two calls.
type lineScanner struct {
	telnet  telnet
	scanned int // bytes scanned
	textLen int // bytes of text; they are moved to the front of the buffer as the rest is dropped
}

// next looks at buf, which starts with the line's first byte, and returns the line without its end, and the bytes it
// took. used is 0 if more are needed. It changes buf.
func (s *lineScanner) next(buf []byte, limit int) (line []byte, used int, crlf bool, err *Error) {
	// A person's line holds no telnet sequence: then there is nothing to move, and the fast search finds the end.
	if s.scanned == s.textLen && s.telnet.state == telnetText {
		plain := buf[s.scanned:]
		if i := bytes.IndexByte(plain, '\n'); i >= 0 {
			plain = plain[:i]
		}
		if i := bytes.IndexByte(plain, iac); i >= 0 {
			plain = plain[:i]
		}
		s.scanned += len(plain)
		s.textLen = s.scanned
	}
	for ; s.scanned < len(buf); s.scanned++ {
		c := buf[s.scanned]
		text := s.telnet.text(c)
		if text && c == '\n' {
			line, used, raw := buf[:s.textLen], s.scanned+1, s.scanned
			if crlf = bytes.HasSuffix(line, []byte{'\r'}); crlf {
				line, raw = line[:len(line)-1], raw-1
			}
			s.scanned, s.textLen = 0, 0
			if raw > limit {
				return nil, 0, false, errLineTooLong(limit)
			}
			return line, used, crlf, nil
		}
		if text {
			buf[s.textLen] = c
			s.textLen++
		}
	}
	// Refuse as soon as it cannot be right any more: one byte over the limit may still be the CR of the line's end. Bytes
	// of telnet sequences count too, or they could fill the memory unseen.
	if s.scanned > limit+1 || s.scanned == limit+1 && buf[s.scanned-1] != '\r' {
		return nil, 0, false, errLineTooLong(limit)
	}
	return nil, 0, false, nil
}

// skipTelnet drops the telnet sequences that stand before a command and returns their length. They need not be complete.
func (s *lineScanner) skipTelnet(buf []byte) int {
	for i, c := range buf {
		if s.telnet.state == telnetText && c != iac {
			return i
		}
		if s.telnet.text(c) { // iac iac: a line that starts with the byte 0xff
			buf[i] = c
			s.scanned, s.textLen = 1, 1
			return i
		}
	}
	return len(buf)
}

func errLineTooLong(limit int) *Error {
	return fatalf("too big inline request (over --max-line %d)", limit)
}

// cutWord splits a line after its first word. Spaces and tabs separate.
func cutWord(line []byte) (first, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	if i := bytes.IndexAny(line, " \t"); i >= 0 {
		return line[:i], line[i:]
	}
	return line, nil
}

// splitVerbArgs turns what follows a verb into its arguments, by the verb's shape.
func splitVerbArgs(spec *CommandSpec, rest []byte, args [][]byte) ([][]byte, *Error) {
	if spec.Syntax == ArgsMessage {
		topic, message := cutWord(rest)
		if len(topic) == 0 || len(message) == 0 {
			return args, Errorf("%s needs a topic, one space, and a message; type: %s", spec.Name, spec.Usage)
		}
		if err := checkReserved(spec, topic); err != nil {
			return args, err
		}
		return append(args, topic, message[1:]), nil // one separator; further ones belong to the message
	}
	verb := len(args)
	for {
		var name []byte
		if name, rest = cutWord(rest); len(name) == 0 {
			break
		}
		if spec.TakesPredicate && len(args) > verb && string(name) == whereKeyword {
			predicate := bytes.Trim(rest, " \t")
			if len(predicate) == 0 {
				return args, errNoPredicate(spec)
			}
			names, err := attachPredicate(spec, args[verb:], predicate)
			return append(args[:verb], names...), err
		}
		if err := checkReserved(spec, name); err != nil {
			return args, err
		}
		args = append(args, name)
	}
	if len(args) < -spec.Arity {
		return args, Errorf("%s needs a %s; type: %s", spec.Name, bytes.Fields([]byte(spec.Usage))[1], spec.Usage)
	}
	return args, nil
}

// whereKeyword stands between names and a predicate.
const whereKeyword = "WHERE"

// maxExpanded bounds what attachPredicate makes of one command: a predicate is sent once, and spelt out for each name.
const maxExpanded = 8 << 20

// attachPredicate makes each name one that says its predicate: `orders WHERE price > 100`.
func attachPredicate(spec *CommandSpec, names [][]byte, predicate []byte) ([][]byte, *Error) {
	if len(names)*len(predicate) > maxExpanded {
		return nil, Errorf("%d names are too many for a predicate of %d bytes: name fewer; type: %s", len(names), len(predicate), spec.Usage)
	}
	full := make([][]byte, len(names))
	for i, name := range names {
		full[i] = bytes.Join([][]byte{name, []byte(whereKeyword), predicate}, []byte{' '})
	}
	return full, nil
}

func errNoPredicate(spec *CommandSpec) *Error {
	return Errorf("WHERE needs a predicate behind it, such as price > 100; type: %s", spec.Usage)
}

// checkReserved keeps three words free, so that a later version can give them a meaning without changing anybody's.
func checkReserved(spec *CommandSpec, name []byte) *Error {
	switch string(name) {
	case whereKeyword, "FROM", "LAST":
		return Errorf("%s is reserved and cannot be a topic here; type: %s", name, spec.Usage)
	}
	return nil
}
