package stream

import (
	"bytes"
	"cmp"
	"math"
	"strconv"
)

// ID is the id of an entry: 12-0 has milliseconds and a number.
type ID struct{ Ms, Seq uint64 }

// The smallest and the largest id. No entry has the smallest one.
var (
	MinID = ID{}
	MaxID = ID{math.MaxUint64, math.MaxUint64}
)

// Compare returns -1, 0 or 1.
func (id ID) Compare(other ID) int {
	if id.Ms != other.Ms {
		return cmp.Compare(id.Ms, other.Ms)
	}
	return cmp.Compare(id.Seq, other.Seq)
}

// Less reports whether id comes before other.
func (id ID) Less(other ID) bool {
	return id.Ms < other.Ms || id.Ms == other.Ms && id.Seq < other.Seq
}

// IsZero reports whether id is 0-0.
func (id ID) IsZero() bool { return id == MinID }

// Next returns the id behind id. It is false behind the largest one.
func (id ID) Next() (ID, bool) {
	if id.Seq < math.MaxUint64 {
		return ID{id.Ms, id.Seq + 1}, true
	}
	if id.Ms == math.MaxUint64 {
		return id, false
	}
	return ID{id.Ms + 1, 0}, true
}

// Prev returns the id before id. It is false before 0-0.
func (id ID) Prev() (ID, bool) {
	if id.Seq > 0 {
		return ID{id.Ms, id.Seq - 1}, true
	}
	if id.Ms == 0 {
		return id, false
	}
	return ID{id.Ms - 1, math.MaxUint64}, true
}

// Append appends id as text.
func (id ID) Append(b []byte) []byte {
	b = append(strconv.AppendUint(b, id.Ms, 10), '-')
	return strconv.AppendUint(b, id.Seq, 10)
}

func (id ID) String() string { return string(id.Append(nil)) }

// ParseID parses an id. Without a number it gets seq. The signs of open ranges, - and +, are no ids here.
func ParseID(text []byte, seq uint64) (ID, error) {
	id, auto, err := parseID(text, seq)
	if auto {
		return ID{}, ErrInvalidID
	}
	return id, err
}

// ParseAddID parses the id of XADD. auto stands for `*`, autoSeq for `5-*`; `5` is 5-0.
func ParseAddID(text []byte) (id ID, auto, autoSeq bool, err error) {
	if len(text) == 1 && text[0] == '*' {
		return ID{}, true, false, nil
	}
	id, autoSeq, err = parseID(text, 0)
	return id, false, autoSeq, err
}

// ParseRangeStart parses the first id of a range: `-`, `+`, `5` for 5-0, and `(5-1` for the id behind 5-1.
func ParseRangeStart(text []byte) (ID, error) {
	id, exclusive, err := parseBound(text, 0)
	if err == nil && exclusive {
		var ok bool
		if id, ok = id.Next(); !ok {
			return ID{}, ErrRangeStart
		}
	}
	return id, err
}

// ParseRangeEnd parses the last id of a range: `-`, `+`, `5` for the last id of that millisecond, and `(5-1` for the id before 5-1.
func ParseRangeEnd(text []byte) (ID, error) {
	id, exclusive, err := parseBound(text, math.MaxUint64)
	if err == nil && exclusive {
		var ok bool
		if id, ok = id.Prev(); !ok {
			return ID{}, ErrRangeEnd
		}
	}
	return id, err
}

func parseBound(text []byte, seq uint64) (id ID, exclusive bool, err error) {
	if len(text) > 1 && text[0] == '(' {
		id, err = ParseID(text[1:], seq)
		return id, true, err
	}
	if len(text) == 1 && text[0] == '-' {
		return MinID, false, nil
	}
	if len(text) == 1 && text[0] == '+' {
		return MaxID, false, nil
	}
	id, err = ParseID(text, seq)
	return id, false, err
}

// maxIDLen is the length of the longest text that Redis takes for an id. It bounds leading zeros.
const maxIDLen = 127

// parseID parses 5 and 5-1, and 5-*, which sets auto.
func parseID(text []byte, seq uint64) (id ID, auto bool, err error) {
	if len(text) > maxIDLen {
		return ID{}, false, ErrInvalidID
	}
	ms, number, given := bytes.Cut(text, []byte{'-'})
	var ok bool
	if id.Ms, ok = parseUint(ms); !ok {
		return ID{}, false, ErrInvalidID
	}
	switch {
	case !given:
		id.Seq = seq
	case len(number) == 1 && number[0] == '*':
		auto = true
	default:
		if id.Seq, ok = parseUint(number); !ok {
			return ID{}, false, ErrInvalidID
		}
	}
	return id, auto, nil
}

// parseUint parses decimal digits. Redis takes the number by strtoull: blanks and a plus before it are fine.
func parseUint(text []byte) (n uint64, ok bool) {
	text = bytes.TrimLeft(text, " \t\n\v\f\r")
	if len(text) > 0 && text[0] == '+' {
		text = text[1:]
	}
	for _, c := range text {
		digit := uint64(c - '0')
		if digit > 9 || n > math.MaxUint64/10 || n*10 > math.MaxUint64-digit {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, len(text) > 0
}
