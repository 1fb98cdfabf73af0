package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/conchmq/conch/internal/bench"
)

// mixFormat is the wire format of the mix: RESP3 or NATS. All messages have one length.
type mixFormat struct {
	nats       bool
	replies    int    // to a publish
	publish    []byte // with zeros for topic, publisher and sequence
	message    []byte // the same as it is delivered
	topicAt    []int  // where in a message the topic's digits stand
	publishAt  int    // where they stand in a publish
	payloadAt  int    // in a message
	messageLen int
}

const (
	topicDigits     = 4
	publisherDigits = 3
	sequenceDigits  = 10
)

func newMixFormat(d bench.Dialect) *mixFormat {
	payload := strings.Repeat("0", publisherDigits+sequenceDigits)
	payload += strings.Repeat("x", mixPayload-len(payload))
	name := mixTopic(0)
	f := &mixFormat{nats: d == bench.NATS, replies: 1}
	frame := fmt.Sprintf("$%d\r\n%s\r\n$%d\r\n%s\r\n", len(name), name, mixPayload, payload)
	publish, message := "*3\r\n$7\r\nPUBLISH\r\n"+frame, ">3\r\n$7\r\nmessage\r\n"+frame
	if f.nats {
		f.replies = 0
		publish = fmt.Sprintf("PUB %s %d\r\n%s\r\n", name, mixPayload, payload)
		message = fmt.Sprintf("MSG %s %s %d\r\n%s\r\n", name, name, mixPayload, payload)
	}
	f.publish, f.message, f.messageLen = []byte(publish), []byte(message), len(message)
	f.publishAt = strings.Index(publish, name) + len(name) - topicDigits
	for at := 0; ; {
		i := strings.Index(message[at:], name)
		if i < 0 {
			break
		}
		at += i + len(name)
		f.topicAt = append(f.topicAt, at-topicDigits)
	}
	f.payloadAt = len(message) - len("\r\n") - mixPayload
	return f
}

func mixTopic(n int) string { return fmt.Sprintf("mix:%0*d", topicDigits, n) }

// appendPublish appends a publish command.
func (f *mixFormat) appendPublish(b []byte, topic, publisher, sequence int) []byte {
	b = append(b, f.publish...)
	putDigits(b[f.publishAt:][:topicDigits], topic)
	payload := b[len(b)-len("\r\n")-mixPayload:]
	putDigits(payload[:publisherDigits], publisher)
	putDigits(payload[publisherDigits:][:sequenceDigits], sequence)
	return b
}

// parse reads a delivered message. Every byte of it but the digits is known.
func (f *mixFormat) parse(b []byte) (topic, publisher, sequence int, ok bool) {
	at := 0
	for _, digits := range f.topicAt {
		n, isNumber := digitsOf(b[digits:][:topicDigits])
		if !isNumber || !bytes.Equal(b[at:digits], f.message[at:digits]) || at > 0 && n != topic {
			return 0, 0, 0, false
		}
		topic, at = n, digits+topicDigits
	}
	stamp := f.payloadAt + publisherDigits + sequenceDigits
	publisher, ok = digitsOf(b[f.payloadAt:][:publisherDigits])
	sequence, isNumber := digitsOf(b[f.payloadAt+publisherDigits : stamp])
	return topic, publisher, sequence, ok && isNumber &&
		bytes.Equal(b[at:f.payloadAt], f.message[at:f.payloadAt]) && bytes.Equal(b[stamp:], f.message[stamp:])
}

func putDigits(b []byte, n int) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i], n = '0'+byte(n%10), n/10
	}
}

func digitsOf(b []byte) (n int, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// kinds of lines that are no message.
const (
	mixError = iota
	mixReply
	mixPing
	mixSkip
)

// reply reads such a line: the receivers of a publish, or what else may come.
func (f *mixFormat) reply(line string) (receivers, kind int) {
	switch {
	case !f.nats && line[0] == ':':
		n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
		if err != nil {
			return 0, mixError
		}
		return n, mixReply
	case f.nats && strings.HasPrefix(line, "PING"):
		return 0, mixPing
	case f.nats && (strings.HasPrefix(line, "INFO ") || strings.HasPrefix(line, "PONG")):
		return 0, mixSkip
	}
	return 0, mixError
}

// hello begins a connection.
func (f *mixFormat) hello(out io.Writer, in *bufio.Reader) error {
	if !f.nats {
		if _, err := io.WriteString(out, "HELLO 3\r\n"); err != nil {
			return err
		}
		return readValue(in)
	}
	if _, err := io.WriteString(out, `CONNECT {"verbose":false,"pedantic":false,"lang":"go","version":"mix","protocol":1}`+"\r\nPING\r\n"); err != nil {
		return err
	}
	return f.awaitPong(in)
}

// subscribe subscribes to topics and waits until the server has done so.
func (f *mixFormat) subscribe(out io.Writer, in *bufio.Reader, topics []int) error {
	var b []byte
	if !f.nats {
		b = fmt.Appendf(b, "*%d\r\n$9\r\nSUBSCRIBE\r\n", len(topics)+1)
	}
	for _, t := range topics {
		name := mixTopic(t)
		if f.nats {
			b = fmt.Appendf(b, "SUB %s %s\r\n", name, name)
		} else {
			b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(name), name)
		}
	}
	if f.nats {
		b = append(b, "PING\r\n"...)
	}
	if _, err := out.Write(b); err != nil {
		return err
	}
	if f.nats {
		return f.awaitPong(in)
	}
	for range topics {
		if err := readValue(in); err != nil {
			return err
		}
	}
	return nil
}

// awaitPong skips what a NATS server sends before its PONG.
func (f *mixFormat) awaitPong(in *bufio.Reader) error {
	for {
		line, err := in.ReadString('\n')
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(line, "PONG"):
			return nil
		case strings.HasPrefix(line, "-"):
			return errors.New(strings.TrimSpace(line))
		}
	}
}

// readValue reads and discards one RESP3 value. An error in it is an error.
func readValue(in *bufio.Reader) error {
	for values := 1; values > 0; values-- {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		n, _ := strconv.Atoi(strings.TrimSpace(line[1:])) // 0 where the rest is no length
		switch line[0] {
		case '-':
			return errors.New(strings.TrimSpace(line))
		case '*', '>', '~':
			values += n
		case '%':
			values += 2 * n
		case '$':
			if _, err := in.Discard(n + len("\r\n")); err != nil {
				return err
			}
		}
	}
	return nil
}
