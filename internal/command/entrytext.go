package command

import (
	"strconv"

	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// entryText encodes entries. It keeps the text of the last milliseconds: ids that follow each other often share them.
type entryText struct {
	ms   uint64
	text []byte // with the hyphen; nil before the first id
	room [21]byte
}

// append appends an entry: its id, the array of its names and values, and a tail of two more elements unless that is empty.
func (x *entryText) append(b []byte, id stream.ID, fields stream.Fields, tail []byte) []byte {
	if len(tail) > 0 {
		b = append(b, "*4\r\n"...)
	} else {
		b = append(b, "*2\r\n"...)
	}
	b = protocol.AppendArray(x.appendID(b, id), fields.Len())
	for text, ok := fields.Next(); ok; text, ok = fields.Next() {
		b = append(append(protocol.AppendBulkHeader(b, len(text)), text...), "\r\n"...)
	}
	return append(b, tail...)
}

// appendHead appends what stands in front of the names and values of an entry.
func (x *entryText) appendHead(b []byte, id stream.ID, texts int) []byte {
	return protocol.AppendArray(x.appendID(append(b, "*2\r\n"...), id), texts)
}

// appendID appends an id as a bulk string.
func (x *entryText) appendID(b []byte, id stream.ID) []byte {
	if id.Ms != x.ms || x.text == nil {
		x.ms, x.text = id.Ms, append(strconv.AppendUint(x.room[:0], id.Ms, 10), '-')
	}
	b = protocol.AppendBulkHeader(b, len(x.text)+digits(id.Seq))
	b = append(b, x.text...)
	if id.Seq < 10 {
		return append(b, byte('0'+id.Seq), '\r', '\n')
	}
	return append(strconv.AppendUint(b, id.Seq, 10), "\r\n"...)
}

// digits is how many digits a number has.
func digits(n uint64) (count int) {
	for count = 1; n > 9; n /= 10 {
		count++
	}
	return count
}
