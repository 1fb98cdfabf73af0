package protocol

import (
	"bytes"
	"strconv"

	"github.com/tidwall/redcon"
)

// The numbers of messages, for peers that asked for them. A message has the number of its place in the one order,
// counted from 1. Previous is the number of the message before it that was owed to the same subscription.

// AppendSeq appends a number as lines show it: #12.
func AppendSeq(dst []byte, n uint64) []byte { return strconv.AppendUint(append(dst, '#'), n, 10) }

// AppendSeqReply appends the answer to a publish: an array of receivers and number.
func AppendSeqReply(dst []byte, receivers int, number uint64) []byte {
	return appendUint(redcon.AppendInt(redcon.AppendArray(dst, 2), int64(receivers)), number)
}

// AppendSeqMessage appends a message frame with two more elements than that of AppendMessage: its number and
// previous, which is 0 if there was none. RESP3 only.
func AppendSeqMessage(dst []byte, kind string, topic, payload []byte, number, previous uint64) []byte {
	dst = redcon.AppendBulkString(RESP3.AppendHeader(dst, Push, 5), kind)
	dst = redcon.AppendBulk(redcon.AppendBulk(dst, topic), payload)
	return AppendSeqs(dst, number, previous)
}

// AppendSeqs appends the last two elements of such a frame.
func AppendSeqs(dst []byte, number, previous uint64) []byte {
	return appendUint(appendUint(dst, number), previous)
}

// AppendSeqPatternMessage is AppendSeqMessage for a subscriber of the pattern.
func AppendSeqPatternMessage(dst []byte, pattern string, topic, payload []byte, number, previous uint64) []byte {
	dst = redcon.AppendBulkString(RESP3.AppendHeader(dst, Push, 6), "pmessage")
	dst = redcon.AppendBulkString(dst, pattern)
	dst = redcon.AppendBulk(redcon.AppendBulk(dst, topic), payload)
	return AppendSeqs(dst, number, previous)
}

func appendUint(dst []byte, n uint64) []byte {
	return append(strconv.AppendUint(append(dst, ':'), n, 10), '\r', '\n')
}

// AppendSeqUpdates appends messages of one topic as lines, with numbers from first on: `UPDATE #12 orders hi`.
// A previous that is not 0 was not delivered, and the first line says so: `UPDATE #12<9 orders hi`.
func AppendSeqUpdates(dst, topic []byte, payloads [][]byte, crlf bool, first, previous uint64) []byte {
	for i, payload := range payloads {
		dst = AppendUpdateHeader(dst, topic, first+uint64(i), previous) //nolint:gosec // an index
		dst = AppendLineEnd(EscapeMessage(dst, payload), crlf)
		previous = 0
	}
	return dst
}

// AppendUpdateHeader appends what stands in front of the payload in a line: `UPDATE orders `, and with a number that is not
// 0 `UPDATE #12 orders ` or `UPDATE #12<9 orders `.
func AppendUpdateHeader(dst, topic []byte, number, previous uint64) []byte {
	dst = append(dst, updatePrefix...)
	if number != 0 {
		dst = AppendSeq(dst, number)
		if previous != 0 {
			dst = strconv.AppendUint(append(dst, '<'), previous, 10)
		}
		dst = append(dst, ' ')
	}
	return append(EscapeTopic(dst, topic), ' ')
}

const updatePrefix = "UPDATE "

// ParseUpdateSeq reads the number of a line that AppendSeqUpdates has made, and whether the line tells of a previous
// one. It is 0 for anything else.
func ParseUpdateSeq(line []byte) (number uint64, hasPrevious bool) {
	head, _, _ := bytes.Cut(bytes.TrimPrefix(line, []byte(updatePrefix+"#")), []byte{' '})
	digits, _, hasPrevious := bytes.Cut(head, []byte{'<'})
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		number = number*10 + uint64(c-'0')
	}
	return number, hasPrevious
}

// AppendWithPrevious appends such a line once more, which did not tell of a previous one and now does.
func AppendWithPrevious(dst, line []byte, previous uint64) []byte {
	end := len(updatePrefix) + bytes.IndexByte(line[len(updatePrefix):], ' ')
	dst = strconv.AppendUint(append(append(dst, line[:end]...), '<'), previous, 10)
	return append(dst, line[end:]...)
}
