package client

import (
	"bytes"
	"strconv"
)

// Record is a message to be published.
type Record struct {
	Topic   string
	Payload []byte // copied by Publish
}

// maxSize returns the maximum length of the record as a command.
func (r *Record) maxSize() int {
	const all = len("*3\r\n$7\r\nPUBLISH\r\n") + 2*len("$1234567890123456789\r\n\r\n")
	return all + len(r.Topic) + len(r.Payload)
}

// parseRecord reverses appendPublish, with a copy of the bytes.
func parseRecord(command []byte) Record {
	_, rest, _ := bytes.Cut(command, []byte("PUBLISH\r\n"))
	topic, rest := cutText(rest)
	payload, _ := cutText(rest)
	return Record{Topic: string(topic), Payload: bytes.Clone(payload)}
}

// cutText reverses appendText. It relies on valid input.
func cutText(b []byte) (text, rest []byte) {
	length, rest, _ := bytes.Cut(b[len("$"):], []byte("\r\n"))
	n, _ := strconv.Atoi(string(length))
	return rest[:n], rest[n+len("\r\n"):]
}
