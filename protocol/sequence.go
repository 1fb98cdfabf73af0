package protocol

import (
	"strconv"

	"github.com/tidwall/redcon"
)

// This file encodes sequence numbers, for clients with SEQ ON. The sequence number of a message is its position in the
// one order, counted from 1. previous is the number of the message before it in the same subscription: RESP3 alone has it.

// AppendSeq appends a sequence number in the syntax of lines: #12.
func AppendSeq(dst []byte, n uint64) []byte { return strconv.AppendUint(append(dst, '#'), n, 10) }

// AppendSeqReply appends the reply to a publish: an array of the receivers and the sequence number.
func AppendSeqReply(dst []byte, receivers int, number uint64) []byte {
	return appendUint(redcon.AppendInt(redcon.AppendArray(dst, 2), int64(receivers)), number)
}

// AppendSeqMessage appends the frame of AppendMessage with two more elements: the sequence number and previous, which is
// 0 for the first message. RESP3 only.
func AppendSeqMessage(dst []byte, kind string, topic, payload []byte, number, previous uint64) []byte {
	dst = redcon.AppendBulkString(RESP3.AppendHeader(dst, Push, 5), kind)
	dst = redcon.AppendBulk(redcon.AppendBulk(dst, topic), payload)
	return AppendSeqs(dst, number, previous)
}

// AppendSeqs appends the last two elements of such a frame: the sequence number and previous.
func AppendSeqs(dst []byte, number, previous uint64) []byte {
	return appendUint(appendUint(dst, number), previous)
}

// AppendSeqPatternMessage is AppendSeqMessage for subscribers of a pattern.
func AppendSeqPatternMessage(dst []byte, pattern string, topic, payload []byte, number, previous uint64) []byte {
	dst = redcon.AppendBulkString(RESP3.AppendHeader(dst, Push, 6), "pmessage")
	dst = redcon.AppendBulkString(dst, pattern)
	dst = redcon.AppendBulk(redcon.AppendBulk(dst, topic), payload)
	return AppendSeqs(dst, number, previous)
}

func appendUint(dst []byte, n uint64) []byte {
	return append(strconv.AppendUint(append(dst, ':'), n, 10), '\r', '\n')
}

// AppendSeqUpdates appends messages of one topic as lines, numbered from first: `UPDATE #12 orders hi`.
func AppendSeqUpdates(dst, topic []byte, payloads [][]byte, crlf bool, first uint64) []byte {
	for i, payload := range payloads {
		dst = AppendUpdateHeader(dst, topic, first+uint64(i)) //nolint:gosec // an index
		dst = AppendLineEnd(EscapeMessage(dst, payload), crlf)
	}
	return dst
}

// AppendUpdateHeader appends the part of an UPDATE line before the payload: `UPDATE orders `, or with a sequence number
// `UPDATE #12 orders `. Number 0 is left out.
func AppendUpdateHeader(dst, topic []byte, number uint64) []byte {
	dst = append(dst, "UPDATE "...)
	if number != 0 {
		dst = append(AppendSeq(dst, number), ' ')
	}
	return append(EscapeTopic(dst, topic), ' ')
}
