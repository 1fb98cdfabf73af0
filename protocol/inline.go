package protocol

// splitInline splits a line as Redis' sdssplitargs does: white space separates, "…" knows \n \r \t \b \a \xHH and \",
// '…' knows only \'. A quote must be closed and followed by white space or the end; ok is false otherwise. The arguments
// overwrite the bytes of line: unquoting never lengthens.
func splitInline(line []byte, args [][]byte) (_ [][]byte, ok bool) {
	out := line[:0] // never overtakes i: each argument is at most as long as what it was read from
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return args, true
		}
		start := len(out)
		for i < len(line) && !isSpace(line[i]) {
			switch c := line[i]; c {
			case '"', '\'':
				var closed bool
				if out, i, closed = quoted(line, i+1, out, c); !closed {
					return args, false
				}
			default:
				out = append(out, c)
				i++
			}
		}
		args = append(args, out[start:len(out):len(out)])
	}
}

// quoted reads up to the closing quote, from the byte after the opening one.
func quoted(line []byte, i int, out []byte, quote byte) (_ []byte, next int, closed bool) {
	for ; i < len(line); i++ {
		c := line[i]
		switch {
		case c == quote:
			return out, i + 1, i+1 == len(line) || isSpace(line[i+1])
		case quote == '\'' && c == '\\' && i+1 < len(line) && line[i+1] == '\'':
			i++
			c = '\''
		case quote == '"' && c == '\\' && i+3 < len(line) && line[i+1] == 'x' && isHex(line[i+2]) && isHex(line[i+3]):
			c = unhex(line[i+2])<<4 | unhex(line[i+3])
			i += 3
		case quote == '"' && c == '\\' && i+1 < len(line):
			i++
			c = unescape(line[i])
		}
		out = append(out, c)
	}
	return out, i, false
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

// isSpace is C's isspace in the C locale, and NUL, where a C string ends: telnet sends CR NUL for a bare return.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' || c == 0 }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
