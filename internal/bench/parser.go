package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"
)

// parser parses the input of one subscriber and compares each frame with the expected one. It is the innermost loop of the
// generator: it neither allocates nor reads a clock.
type parser struct {
	*layout
	headerLen int
	mark      uint64
	firstByte byte // first byte of every message, and of nothing else
	sampleAll bool // record the times of all messages, not only of the first and the last of each parse

	from  []publisherState // by publisher
	times []time.Duration  // scheduled times of the recorded messages of the last parse
	pings int              // PINGs of the server without a PONG yet
	lost  int64            // missing messages
	// lostMeasured counts those of the measured part.
	lostMeasured int64

	// The incomplete frame at the end of the input.
	missingBytes int
	openStamp    stamp
}

// publisherState is the state of one publisher at a subscriber.
type publisherState struct {
	next     int           // number of the next message
	topic    int           // its topic
	size     int           // index of its size in layout.sizes
	first    *atomic.Int64 // number of the publisher's first measured message, or notMeasured
	reported int           // value of next last reported to the window
}

// notMeasured is the number of the first measured message before the measured part.
const notMeasured = math.MaxInt64

// newParser returns the parser of one subscriber. firsts has the first measured message of each publisher.
func newParser(w *layout, firsts []atomic.Int64, every bool) *parser {
	p := &parser{
		layout: w, headerLen: len(w.message[0]), mark: binary.BigEndian.Uint64(w.mark[:]), firstByte: w.message[0][0],
		sampleAll: every, from: make([]publisherState, len(firsts)),
	}
	for i := range p.from {
		p.from[i].first = &firsts[i]
		p.from[i].jump(w, i, 0)
	}
	return p
}

// follow sets the subscriber to parse for: it decides which messages are expected.
func (p *parser) follow(subscriber int) {
	for i := range p.from {
		o := &p.from[i]
		o.jump(p.layout, i, p.firstOf(i, subscriber))
		o.reported = o.next
	}
}

// jump sets the next expected message.
func (o *publisherState) jump(w *layout, publisher, sequence int) {
	o.next, o.topic, o.size = sequence, w.topicOf(publisher, sequence), sequence%len(w.sizes)
}

// parse parses the input and returns the number of bytes consumed. The caller passes the rest again, followed by more.
func (p *parser) parse(b []byte) (used int, err error) {
	p.times = p.times[:0]
	i, first, last := p.finishOpen(b), -1, -1
	for p.missingBytes == 0 {
		at := i + p.headerLen
		if len(p.sizes) > 1 {
			at = p.payloadStart(b, at)
		}
		publisher, sequence, ok := p.stamp(b, at)
		if ok && sequence != p.from[publisher].next {
			if err := p.skip(publisher, sequence); err != nil {
				return i, err
			}
		}
		if !ok || !p.isHeader(b[i:at], &p.from[publisher]) {
			n, err := p.handleOther(b[i:], at+stampLen > len(b))
			if i += n; n == 0 {
				p.noteLast(b, first, last)
				return i, err
			}
			continue
		}
		o := &p.from[publisher]
		i = at + p.sizes[o.size] + len(p.end)
		if i > len(b) {
			p.openStamp, p.missingBytes = readStamp(b[at:]), i-len(b)
			break
		}
		p.expectNext(o)
		if last = at; first < 0 || p.sampleAll {
			first = at
			p.note(readStamp(b[at:]))
		}
	}
	p.noteLast(b, first, last)
	return min(i, len(b)), nil
}

// stamp parses publisher and number of a message. ok is false without a complete stamp of this run at that offset.
func (p *parser) stamp(b []byte, at int) (publisher, sequence int, ok bool) {
	if at+stampLen > len(b) {
		return 0, 0, false
	}
	b = b[at : at+stampLen]
	v, ok := readWord(b)
	publisher = int(v >> sequenceBits)
	return publisher, int(v & maxSequence), ok && binary.BigEndian.Uint64(b[16:]) == p.mark && publisher < len(p.from)
}

// isHeader reports whether b is the header of the publisher's next message.
func (p *parser) isHeader(b []byte, o *publisherState) bool {
	if len(p.sizes) == 1 {
		return string(b) == p.message[o.topic]
	}
	return string(b[:p.headerLen]) == p.message[o.topic] && string(b[p.headerLen:]) == p.sizeText[o.size]
}

// finishOpen consumes the rest of the incomplete frame and returns its length.
func (p *parser) finishOpen(b []byte) int {
	n := min(p.missingBytes, len(b))
	if p.missingBytes -= n; n > 0 && p.missingBytes == 0 {
		p.expectNext(&p.from[p.openStamp.publisher])
		p.note(p.openStamp)
	}
	return n
}

// payloadStart is the offset of the payload after the size, or beyond b if the size is incomplete. Lines have no size.
func (p *parser) payloadStart(b []byte, at int) int {
	if !p.dialect.sized() {
		return at
	}
	if at > len(b) {
		return at
	}
	end := bytes.IndexByte(b[at:], '\n')
	if end < 0 {
		return len(b)
	}
	return at + end + 1
}

// expectNext advances to the message after the expected one.
func (p *parser) expectNext(o *publisherState) {
	o.next += p.stride
	if o.topic += p.stride; o.topic >= len(p.topics) {
		o.topic -= len(p.topics)
	}
	if o.size += p.stride; o.size >= len(p.sizes) {
		o.size %= len(p.sizes)
	}
}

// skip counts the messages between the expected one and this one as lost. It returns an error if this one is older than
// the expected one: that is a broken order, not a loss.
func (p *parser) skip(publisher, sequence int) error {
	o := &p.from[publisher]
	if sequence < o.next {
		return fmt.Errorf("message %d of publisher %d came where %d was due: repeated, or out of order", sequence, publisher, o.next)
	}
	if (sequence-o.next)%p.stride != 0 {
		return fmt.Errorf("message %d of publisher %d came, whose topic %s has another subscriber", sequence, publisher,
			p.topics[p.topicOf(publisher, sequence)])
	}
	p.lost += p.countOf(int64(o.next), int64(sequence))
	p.lostMeasured += p.countOf(max(int64(o.next), o.first.Load()), int64(sequence))
	o.jump(p.layout, publisher, sequence)
	return nil
}

// note records the time of a measured message.
func (p *parser) note(s stamp) {
	if int64(s.sequence) >= p.from[s.publisher].first.Load() {
		p.times = append(p.times, s.at)
	}
}

// noteLast records the last message of a parse, unless it was the only one.
func (p *parser) noteLast(b []byte, first, last int) {
	if last > first && !p.sampleAll {
		p.note(readStamp(b[last:]))
	}
}

// handleOther handles input without a complete stamp. It returns the number of bytes to skip: 0 if the input may be the
// start of a message.
func (p *parser) handleOther(b []byte, short bool) (int, error) {
	if len(b) == 0 || short && b[0] == p.firstByte {
		return 0, nil
	}
	return p.handleStray(b)
}

// maxStray is the maximum length of a line between messages.
const maxStray = 8 << 10

// handleStray handles a line that is no message: an error of the server ends the run; control lines of NATS are skipped.
// It returns the length of the line, or 0 if it is incomplete.
func (p *parser) handleStray(b []byte) (int, error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 && len(b) < maxStray {
		return 0, nil
	}
	text := strings.TrimSpace(string(b[:max(end, 0)]))
	switch {
	case strings.HasPrefix(text, "-"), strings.HasPrefix(text, "ERR "):
		return 0, fmt.Errorf("the server replied: %s", text)
	case p.dialect == NATS && text == "PING":
		p.pings++
		return end + 1, nil
	case p.dialect == NATS && (strings.HasPrefix(text, "INFO ") || text == "+OK" || text == "PONG"):
		return end + 1, nil
	}
	return 0, unexpected(b)
}

// unexpected is the error for bytes that are not part of this run.
func unexpected(b []byte) error {
	return fmt.Errorf("got what is no message of this run: %q; does another program publish to the topics of this run?", b[:min(len(b), 80)])
}
