package protocol

import (
	"bytes"
	"math"
	"slices"
)

// maxHeader is the length of a header line without CR at which it is rejected: 64 KiB as in Redis.
const maxHeader = 64 << 10

// respScanner finds the end of one RESP command. It keeps its position between calls: a command that arrives in many
// pieces is scanned once. redcon starts over with each read, which takes quadratic time.
//
// Offsets count from the first byte of the command: the caller may move the bytes between calls.
type respScanner struct {
	scanned  int      // bytes scanned
	searched int      // bytes of the header at `scanned` that hold no CR
	argsLeft int      // arguments still missing; -1 before the count is known
	argLen   int      // length of the current argument; -1 before it is known
	args     []extent // of the complete arguments
}

// extent is the start and end of an argument. It has 32 bits for each: a command may have a million arguments of a few
// bytes, and 64 bits would take more than twice their memory. Limits.WithDefaults keeps a command under 4 GiB.
type extent struct{ start, end uint32 }

func (s *respScanner) reset() {
	if cap(s.args) > 1024 { // an idle connection must not keep the memory of a rare large command
		s.args = nil
	}
	*s = respScanner{argsLeft: -1, argLen: -1, args: s.args[:0]}
}

// skipHeader marks the first n bytes as scanned: the count of all arguments, and the first argument, of name bytes.
func (s *respScanner) skipHeader(n, name, all int) {
	s.args = append(s.args, extent{uint32(n - 2 - name), uint32(n - 2)}) //nolint:gosec // see extent
	s.scanned, s.searched, s.argsLeft = n, 0, all-1
}

// next scans buf, which starts with the first byte of the command. It returns the length of the command, or 0 if it is
// incomplete. Memory grows with the arguments received, never with the announced count.
func (s *respScanner) next(buf []byte, l *Limits) (int, *Error) {
	if s.argsLeft < 0 {
		n, done, err := s.header(buf, "invalid multibulk length", "too big mbulk count string")
		if err != nil || !done {
			return 0, err
		}
		if l.unauth && n > maxUnauthArgs {
			return 0, fatal("unauthenticated multibulk length")
		}
		if n > int64(l.Arguments) {
			return 0, fatalf("invalid multibulk length (over --max-arguments %d)", l.Arguments)
		}
		s.argsLeft = int(max(n, 0)) // Redis ignores *0 and *-1
	}
	for s.argsLeft > 0 {
		done, err := s.argument(buf, l)
		if err != nil || !done {
			return 0, err
		}
	}
	return s.scanned, nil
}

// argument scans one bulk string.
func (s *respScanner) argument(buf []byte, l *Limits) (done bool, err *Error) {
	if s.argLen < 0 {
		if s.scanned >= len(buf) {
			return false, nil
		}
		if buf[s.scanned] != '$' {
			return false, errNoLength(buf[s.scanned : s.scanned+1])
		}
		n, done, err := s.header(buf, "invalid bulk length", "too big bulk count string")
		if err != nil || !done {
			return false, err
		}
		if n < 0 || n > int64(min(l.Message, l.Command-s.scanned)) || l.unauth && n > maxUnauthArgLen {
			return false, errLength(n, l)
		}
		s.argLen = int(n)
	}
	end := s.scanned + s.argLen
	if len(buf) < end+2 {
		return false, nil
	}
	// Redis skips these two bytes unchecked. An error is better than misreading a client that miscounts.
	if buf[end] != '\r' || buf[end+1] != '\n' {
		return false, errNoLineEnd(s.argLen)
	}
	if n := len(s.args); n == cap(s.args) && n > 1024 {
		s.args = slices.Grow(s.args, n) // double: append grows less at a time, copies more often and leaves more garbage
	}
	s.args = append(s.args, extent{uint32(s.scanned), uint32(end)}) //nolint:gosec // see extent
	s.scanned, s.argLen, s.argsLeft = end+2, -1, s.argsLeft-1
	return true, nil
}

// Errors are built in functions of their own, so that the hot path does not pay for their stack frames.

func errNoLength(c []byte) *Error { return fatalf("expected '$', got '%s'", EscapeTopic(nil, c)) }

func errLength(n int64, l *Limits) *Error {
	switch {
	case n < 0:
		return fatalf("invalid bulk length")
	case l.unauth && n <= int64(l.Message):
		return fatal("unauthenticated bulk length")
	case n > int64(l.Message):
		return fatalf("invalid bulk length (over --max-message %d)", l.Message)
	}
	return fatalf("invalid bulk length (command over --max-command %d)", l.Command)
}

func errNoLineEnd(length int) *Error {
	return fatalf("invalid bulk length (no line end after %d bytes)", length)
}

// header parses the number of a line such as *3 or $12 at s.scanned.
func (s *respScanner) header(buf []byte, invalid, tooBig string) (n int64, done bool, err *Error) {
	line := buf[s.scanned:]
	if n, length := shortHeader(line); length > 0 && s.searched == 0 {
		s.scanned += length
		return n, true, nil
	}
	return s.longHeader(line, invalid, tooBig)
}

func (s *respScanner) longHeader(line []byte, invalid, tooBig string) (n int64, done bool, err *Error) {
	cr := bytes.IndexByte(line[min(s.searched, len(line)):], '\r')
	if cr < 0 {
		s.searched = len(line)
		if len(line) > maxHeader {
			return 0, false, fatal(tooBig)
		}
		return 0, false, nil
	}
	cr += s.searched
	n, ok := ParseInt(line[1:max(cr, 1)])
	if !ok {
		return 0, false, fatal(invalid)
	}
	if cr+1 == len(line) {
		s.searched = cr // check this CR again when the next byte has arrived
		return 0, false, nil
	}
	if line[cr+1] != '\n' {
		return 0, false, fatal(invalid)
	}
	s.scanned, s.searched = s.scanned+cr+2, 0
	return n, true, nil
}

func fatal(text string) *Error { return fatalf("%s", text) }

// shortHeader parses a number of one or two digits without a search, which saves a quarter of the time of a PUBLISH of 64
// bytes. length is 0 for any other header.
func shortHeader(line []byte) (n int64, length int) {
	if len(line) < 5 {
		return 0, 0
	}
	tens, ones := line[1]-'0', line[2]-'0'
	switch {
	case tens > 9:
	case line[2] == '\r' && line[3] == '\n':
		return int64(tens), 4
	case tens > 0 && ones <= 9 && line[3] == '\r' && line[4] == '\n':
		return int64(tens)*10 + int64(ones), 5
	}
	return 0, 0
}

// ParseInt parses a decimal integer as strictly as Redis' string2ll: no sign but '-', no leading zero, no overflow.
func ParseInt(b []byte) (int64, bool) {
	negative := len(b) > 1 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || b[0] == '0' && (len(b) > 1 || negative) {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' || n > math.MaxInt64/10 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	switch {
	case negative && n <= 1<<63:
		return -int64(n), true //nolint:gosec // 1<<63 is its own negative
	case !negative && n <= math.MaxInt64:
		return int64(n), true
	}
	return 0, false
}
