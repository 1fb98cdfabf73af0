package protocol

import "bytes"

// lineScanner finds the end of one line and strips telnet sequences. It keeps its position between calls, so that no
// byte is scanned twice. Offsets count from the first byte of the line: the caller may move the bytes between calls.
type lineScanner struct {
	telnet  telnet
	scanned int // bytes scanned
	textLen int // bytes of text; they are moved to the front of the buffer as the rest is dropped
}

// next scans buf, which starts with the first byte of the line. It returns the line without its end and the number of
// bytes used, which is 0 if the line is incomplete. It changes buf.
func (s *lineScanner) next(buf []byte, limit int) (line []byte, used int, crlf bool, err *Error) {
	// Fast path: without a telnet sequence there is nothing to move, and IndexByte finds the end.
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
	// Reject as early as possible: one byte over the limit may still be the CR of the line end. Bytes of telnet sequences
	// count too; otherwise they would fill the memory without a bound.
	if s.scanned > limit+1 || s.scanned == limit+1 && buf[s.scanned-1] != '\r' {
		return nil, 0, false, errLineTooLong(limit)
	}
	return nil, 0, false, nil
}

// skipTelnet skips the telnet sequences in front of a command and returns their length. The last one may be incomplete.
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

// cutWord splits a line after its first word. Spaces and tabs are separators.
func cutWord(line []byte) (first, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	if i := bytes.IndexAny(line, " \t"); i >= 0 {
		return line[:i], line[i:]
	}
	return line, nil
}

// splitVerbArgs splits the text after a verb into arguments, by the argument syntax of the verb.
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
	if spec.Syntax == ArgsOptions {
		return splitOptions(spec, rest, args)
	}
	verb := len(args)
	for {
		var name []byte
		if name, rest = cutWord(rest); len(name) == 0 {
			break
		}
		if spec.TakesPredicate && len(args) > verb && isKeyword(name) {
			names, err := attachClauses(spec, args[verb:], bytes.Trim(bytes.Join([][]byte{name, rest}, nil), " \t"))
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

// splitOptions splits names and options into words. What follows WHERE is one argument, with its blanks.
func splitOptions(spec *CommandSpec, rest []byte, args [][]byte) ([][]byte, *Error) {
	first := len(args)
	for {
		var word []byte
		if word, rest = cutWord(rest); len(word) == 0 {
			break
		}
		isWhere := len(args) > first && bytes.EqualFold(word, []byte(whereKeyword))
		if args = append(args, word); isWhere {
			if rest = bytes.Trim(rest, " \t"); len(rest) == 0 {
				return args, errNoPredicate(spec)
			}
			return append(args, rest), nil
		}
	}
	if len(args) == first {
		return args, Errorf("%s needs a %s; type: %s", spec.Name, bytes.Fields([]byte(spec.Usage))[1], spec.Usage)
	}
	return args, nil
}

// whereKeyword separates names from a predicate, fromKeyword and lastKeyword from a position. A position stands in front of a
// predicate.
const whereKeyword, fromKeyword, lastKeyword = "WHERE", "FROM", "LAST"

func isKeyword(word []byte) bool {
	return string(word) == whereKeyword || string(word) == fromKeyword || string(word) == lastKeyword
}

// maxExpanded bounds the output of attachClauses, in bytes: it copies the clauses to every name of the command.
const maxExpanded = 8 << 20

// attachClauses appends what stands behind the names to each of them: `orders FROM 0 WHERE price > 100`. Blanks between
// words become one space, but not those of a predicate.
func attachClauses(spec *CommandSpec, names [][]byte, clauses []byte) ([][]byte, *Error) {
	if len(names)*len(clauses) > maxExpanded {
		return nil, Errorf("%d names are too many for a predicate of %d bytes: name fewer; type: %s", len(names), len(clauses), spec.Usage)
	}
	var tail []byte
	if first, rest := cutWord(clauses); string(first) != whereKeyword {
		if second, _ := cutWord(rest); len(second) == 0 || string(second) == whereKeyword {
			return nil, Errorf("%s needs a position behind it, such as FROM 0 or LAST 10; type: %s", first, spec.Usage)
		}
	}
	for rest := clauses; ; {
		var word []byte
		if word, rest = cutWord(rest); len(word) == 0 {
			break
		}
		tail = append(append(tail, ' '), word...)
		if string(word) == whereKeyword {
			predicate := bytes.Trim(rest, " \t")
			if len(predicate) == 0 {
				return nil, errNoPredicate(spec)
			}
			tail = append(append(tail, ' '), predicate...)
			break
		}
	}
	full := make([][]byte, len(names))
	for i, name := range names {
		full[i] = append(append(make([]byte, 0, len(name)+len(tail)), name...), tail...)
	}
	return full, nil
}

func errNoPredicate(spec *CommandSpec) *Error {
	return Errorf("WHERE needs a predicate behind it, such as price > 100; type: %s", spec.Usage)
}

// checkReserved rejects three words as topics, so that later versions can use them without breaking clients.
func checkReserved(spec *CommandSpec, name []byte) *Error {
	if isKeyword(name) {
		return Errorf("%s is reserved and cannot be a topic here; type: %s", name, spec.Usage)
	}
	return nil
}
