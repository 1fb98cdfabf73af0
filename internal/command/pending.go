package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/recent"
	"github.com/conchmq/conch/internal/stream"
)

// feedBytes is about how many bytes the feeder adds at a time.
const feedBytes = 32 << 10

// pending is what a pass has encoded and not yet added. It belongs to the feeder's goroutine.
type pending struct {
	conn *Conn
	out  *outbox.Unflushed
	size int // bytes in out
	// buf is where frames are encoded; at is where the next one goes.
	buf *outbox.Buffer
	at  int
	// accounts has one entry for each message.
	accounts []*outbox.Account

	// place and generation are those of the pass when it began to encode; undo is what replays were before their first frames.
	place      place
	generation int
	undo       []replayState

	msg     broker.Message
	payload [1][]byte
	headers headers
}

// replayState is what frames change in their replay.
type replayState struct {
	*replay
	start, previous, lost uint64
	missed                bool
}

func (b *pending) init(c *Conn) { b.conn, b.out = c, outbox.NewUnflushed() }

// begin takes note of the state to return to. Nothing is pending.
func (b *pending) begin(at place, generation int) { b.place, b.generation = at, generation }

func (b *pending) isFull() bool { return b.size >= feedBytes }

// message encodes a message for a replay; fields are those of an entry.
func (b *pending) message(r *replay, m *recent.Message, fields *stream.Fields, f outbox.Format) {
	b.save(r)
	b.payload[0] = m.Payload
	b.msg = broker.Message{Sequence: m.Sequence, Topic: m.Topic, Payloads: b.payload[:]}
	if fields != nil && f.HasHeaders() {
		if b.headers.reset(*fields); b.headers.entry.HasHeaders() {
			b.msg.Headers = &b.headers
		}
	}
	if len(m.Payload) >= outbox.LargePayload {
		frame := newLargeFrame(f, b.conn.service.Epoch(), &b.msg, r.sub, r.previous, encodePayload(f, &b.msg))
		frame.Buf = m.Buf
		b.push(r, outbox.Fragment{Large: frame})
	} else {
		b.push(r, b.commit(appendFrames(b.room(encodedSize(f, &b.msg, r.sub.Name())), f, b.conn.service.Epoch(), &b.msg, r.sub, r.previous)))
	}
	r.previous = m.Sequence
	b.accounts = append(b.accounts, r.account)
}

// missed encodes that messages are missing. A negative count is unknown.
func (b *pending) missed(r *replay, f outbox.Format, count int) {
	b.save(r)
	if frame := outbox.AppendMissed(nil, f, r.sub.Name(), count); len(frame) > 0 {
		b.push(nil, outbox.Fragment{Bytes: frame})
	}
}

// save notes what a replay is before its first frame.
func (b *pending) save(r *replay) {
	if r.saved {
		return
	}
	r.saved = true
	b.undo = append(b.undo, replayState{r, r.start, r.previous, r.lost, r.missed})
}

// push adds frames: the message at hand for a replay, or a report without one.
func (b *pending) push(r *replay, s outbox.Fragment) {
	b.size += s.Size()
	info := outbox.FrameInfo{Kind: outbox.KindReplayed}
	if r != nil && r.cursor != nil {
		info.Account, info.Count = r.account, 1
		b.out.Stamp(r.cursor.track, b.msg.Sequence, 1)
	}
	b.out.Add(s, info)
}

// room returns room for a frame of about size bytes.
func (b *pending) room(size int) []byte {
	if b.buf == nil || len(b.buf.Bytes)-b.at < size {
		b.buf.Release()
		b.buf, b.at = outbox.NewBuffer(&b.conn.service.memory, max(size, feedBytes)), 0
	}
	return b.buf.Bytes[b.at:b.at]
}

// commit makes a fragment of frames that were appended to the room. If there were more than expected, append has moved them.
func (b *pending) commit(frames []byte) outbox.Fragment {
	if &frames[0] != &b.buf.Bytes[b.at] {
		return outbox.Fragment{Bytes: frames}
	}
	b.at += len(frames)
	return outbox.Fragment{Bytes: frames, Buf: b.buf}
}

// add moves all to the outbox, under the feeder's mutex. Not ok means that the outbox takes nothing more.
func (b *pending) add(mark *outbox.Mark) (ok, start bool) {
	ok = true
	if !b.out.IsEmpty() {
		ok, start = b.conn.outbox.AddReplay(b.out, mark, b.accounts)
		b.out.Recycle()
		b.out = outbox.NewUnflushed()
	}
	b.clear()
	return ok, start
}

// rewind drops all, restores the replays, and returns the place of the pass.
func (b *pending) rewind() place {
	for i := range b.undo {
		s := &b.undo[i]
		s.replay.start, s.replay.previous, s.replay.lost, s.replay.missed = s.start, s.previous, s.lost, s.missed
	}
	b.out.Discard()
	b.clear()
	return b.place
}

// clear drops what only holds for frames that are no longer pending. An idle feeder holds no buffer.
func (b *pending) clear() {
	clear(b.accounts)
	for i := range b.undo {
		b.undo[i].saved = false
	}
	clear(b.undo)
	b.accounts, b.undo, b.size = b.accounts[:0], b.undo[:0], 0
	b.buf.Release()
	b.buf, b.at = nil, 0
	b.msg, b.payload[0] = broker.Message{}, nil
	b.headers.resetTexts(nil)
}

// close ends the use of pending.
func (b *pending) close() {
	b.rewind()
	b.out.Recycle()
}
