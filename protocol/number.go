package protocol

import (
	"bytes"
	"strconv"

	"github.com/tidwall/redcon"
)

// The numbers of messages, for peers that asked for them. A message has the number of its place in the one order,
// counted from 1. Previous is the number of the message before it that was owed to the same subscription.

// AppendNumber appends a number as lines show it: #12.
func AppendNumber(dst []byte, n uint64) []byte { return strconv.AppendUint(append(dst, '#'), n, 10) }

// AppendNumberedReply appends the answer to a publish: an array of receivers and number.
func AppendNumberedReply(dst []byte, receivers int, number uint64) []byte {
	return appendUint(redcon.AppendInt(redcon.AppendArray(dst, 2), int64(receivers)), number)
}

// AppendNumberedMessage appends a message frame with two more elements than that of AppendMessage: its number and
// previous, which is 0 if there was none. RESP3 only.
func AppendNumberedMessage(dst []byte, kind string, topic, payload []byte, number, previous uint64) []byte {
	dst = redcon.AppendBulkString(RESP3.AppendHeader(dst, Push, 5), kind)
	dst = redcon.AppendBulk(redcon.AppendBulk(dst, topic), payload)
	return AppendNumbers(dst, number, previous)
}

// AppendNumbers appends the last two elements of such a frame.
func AppendNumbers(dst []byte, number, previous uint64) []byte {
	return appendUint(appendUint(dst, number), previous)
}

// AppendNumberedPatternMessage is AppendNumberedMessage for a subscriber of the pattern.
func AppendNumberedPatternMessage(dst []byte, pattern string, topic, payload []byte, number, previous uint64) []byte {
	dst = redcon.AppendBulkString(RESP3.AppendHeader(dst, Push, 6), "pmessage")
	dst = redcon.AppendBulkString(dst, pattern)
	dst = redcon.AppendBulk(redcon.AppendBulk(dst, topic), payload)
	return AppendNumbers(dst, number, previous)
}

func appendUint(dst []byte, n uint64) []byte {
	return append(strconv.AppendUint(append(dst, ':'), n, 10), '\r', '\n')
}

// AppendNumberedUpdates appends messages of one topic as lines, with numbers from first on: `UPDATE #12 orders hi`.
// A previous that is not 0 was not delivered, and the first line says so: `UPDATE #12<9 orders hi`.
func AppendNumberedUpdates(dst, topic []byte, payloads [][]byte, crlf bool, first, previous uint64) []byte {
	for i, payload := range payloads {
		dst = AppendUpdateHead(dst, topic, first+uint64(i), previous) //nolint:gosec // an index
		dst = AppendLineEnd(ShowMessage(dst, payload), crlf)
		previous = 0
	}
	return dst
}

// AppendUpdateHead appends what stands in front of the payload in a line: `UPDATE orders `, and with a number that is not
// 0 `UPDATE #12 orders ` or `UPDATE #12<9 orders `.
func AppendUpdateHead(dst, topic []byte, number, previous uint64) []byte {
	dst = append(dst, update...)
	if number != 0 {
		dst = AppendNumber(dst, number)
		if previous != 0 {
			dst = strconv.AppendUint(append(dst, '<'), previous, 10)
		}
		dst = append(dst, ' ')
	}
	return append(ShowTopic(dst, topic), ' ')
}

const update = "UPDATE "

// UpdateNumber reads the number of a line that AppendNumberedUpdates has made, and whether the line tells of a previous
// one. It is 0 for anything else.
func UpdateNumber(line []byte) (number uint64, tells bool) {
	head, _, _ := bytes.Cut(bytes.TrimPrefix(line, []byte(update+"#")), []byte{' '})
	digits, _, tells := bytes.Cut(head, []byte{'<'})
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		number = number*10 + uint64(c-'0')
	}
	return number, tells
}

// AppendAfterLoss appends such a line once more, which did not tell of a previous one and now does.
func AppendAfterLoss(dst, line []byte, previous uint64) []byte {
	end := len(update) + bytes.IndexByte(line[len(update):], ' ')
	dst = strconv.AppendUint(append(append(dst, line[:end]...), '<'), previous, 10)
	return append(dst, line[end:]...)
}
