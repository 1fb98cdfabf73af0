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

// parser takes what one subscriber reads apart, and holds each frame against the one that must come. It is the
// generator's innermost loop: it allocates nothing and reads no clock.
type parser struct {
	*layout
	headerLen int
	mark      uint64
	firstByte byte // what every message begins with, and nothing else does
	sampleAll bool // note the times of all messages, not only of the first and the last of each take

	from  []publisherState // by publisher
	times []time.Duration  // when the noted messages were meant to be sent; the caller takes them after each take
	pings int              // that a server sent and that nobody has answered yet
	lost  int64            // messages that were skipped
	// lostMeasured are those of lost that belong to the measured part.
	lostMeasured int64

	// The frame whose end has not come yet: rest bytes of it are missing.
	missingBytes int
	openStamp    stamp
}

// publisherState is what a subscriber knows of one publisher.
type publisherState struct {
	next     int           // the number of the message that must come next
	topic    int           // its topic
	size     int           // the place of its size in layout.sizes
	first    *atomic.Int64 // the number of the publisher's first measured message, notYet until that is decided
	reported int           // what the subscriber has told the others of next
}

// notMeasured is the number of the first measured message while there is none.
const notMeasured = math.MaxInt64

// newParser makes the parser of one subscriber. firsts has the first measured message of each publisher.
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

// jump makes a message the next one.
func (o *publisherState) jump(w *layout, publisher, sequence int) {
	o.next, o.topic, o.size = sequence, w.topicOf(publisher, sequence), sequence%len(w.sizes)
}

// parse parses what has been read. It returns how many bytes it is done with; the caller presents the others again,
// with more behind them.
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

// stamp reads whose message it is and which one. It is not ok when no whole stamp of this run stands there.
func (p *parser) stamp(b []byte, at int) (publisher, sequence int, ok bool) {
	if at+stampLen > len(b) {
		return 0, 0, false
	}
	b = b[at : at+stampLen]
	v, ok := readWord(b)
	publisher = int(v >> sequenceBits)
	return publisher, int(v & maxSequence), ok && binary.BigEndian.Uint64(b[16:]) == p.mark && publisher < len(p.from)
}

// isHeader tells whether this is what stands before the payload of a publisher's next message.
func (p *parser) isHeader(b []byte, o *publisherState) bool {
	if len(p.sizes) == 1 {
		return string(b) == p.message[o.topic]
	}
	return string(b[:p.headerLen]) == p.message[o.topic] && string(b[p.headerLen:]) == p.sizeText[o.size]
}

// finishOpen takes the rest of a frame that had begun before. It returns how many bytes of b that were.
func (p *parser) finishOpen(b []byte) int {
	n := min(p.missingBytes, len(b))
	if p.missingBytes -= n; n > 0 && p.missingBytes == 0 {
		p.expectNext(&p.from[p.openStamp.publisher])
		p.note(p.openStamp)
	}
	return n
}

// payloadStart is where the payload begins, when the size of the message stands before it; beyond b if it is not all
// there. In lines there is no size.
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

// expectNext makes the message after the expected one the next one.
func (p *parser) expectNext(o *publisherState) {
	o.next++
	if o.topic++; o.topic == len(p.topics) {
		o.topic = 0
	}
	if o.size++; o.size == len(p.sizes) {
		o.size = 0
	}
}

// skip counts the messages that should have come before this one as lost. It returns an error when this one should
// have come before others: that is no loss, it is a broken order.
func (p *parser) skip(publisher, sequence int) error {
	o := &p.from[publisher]
	if sequence < o.next {
		return fmt.Errorf("message %d of publisher %d came where %d was due: repeated, or out of order", sequence, publisher, o.next)
	}
	p.lost += int64(sequence - o.next)
	p.lostMeasured += max(0, int64(sequence)-max(int64(o.next), o.first.Load()))
	o.jump(p.layout, publisher, sequence)
	return nil
}

// note keeps the time of a message if it is a measured one.
func (p *parser) note(s stamp) {
	if int64(s.sequence) >= p.from[s.publisher].first.Load() {
		p.times = append(p.times, s.at)
	}
}

// noteLast notes the message whose payload begins at a place, if it was not the only one that was taken.
func (p *parser) noteLast(b []byte, first, last int) {
	if last > first && !p.sampleAll {
		p.note(readStamp(b[last:]))
	}
}

// handleOther looks at what is no whole stamp where one is due. It returns how many bytes can be passed over: none, if that
// may still become a message.
func (p *parser) handleOther(b []byte, short bool) (int, error) {
	if len(b) == 0 || short && b[0] == p.firstByte {
		return 0, nil
	}
	return p.handleStray(b)
}

// maxStray is the longest line that a server may send between messages.
const maxStray = 8 << 10

// handleStray handles what is no message: an error ends the run, what a NATS server says in between is passed over. It
// returns how many bytes that was; none, if the line's end has not come.
func (p *parser) handleStray(b []byte) (int, error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 && len(b) < maxStray {
		return 0, nil
	}
	text := strings.TrimSpace(string(b[:max(end, 0)]))
	switch {
	case strings.HasPrefix(text, "-"), strings.HasPrefix(text, "ERR "):
		return 0, fmt.Errorf("the server says: %s", text)
	case p.dialect == NATS && text == "PING":
		p.pings++
		return end + 1, nil
	case p.dialect == NATS && (strings.HasPrefix(text, "INFO ") || text == "+OK" || text == "PONG"):
		return end + 1, nil
	}
	return 0, unexpected(b)
}

// unexpected is the error for bytes that are no message of this run.
func unexpected(b []byte) error {
	return fmt.Errorf("got what is no message of this run: %q; does somebody else publish to topics named bench:…?", b[:min(len(b), 80)])
}
