package bench

import "time"

// frames holds the encoded commands of one write of a publisher. With one size, each write only overwrites the stamps
// and, with several topics, the topics. When sizes vary, each write is encoded anew.
type frames struct {
	*layout
	publisher int
	buf       []byte
	length    int // of a command, when all have one size
	headerLen int
}

func newFrames(w *layout, publisher, pipeline int) *frames {
	f := &frames{layout: w, publisher: publisher, headerLen: len(w.publish[0])}
	for n := range pipeline {
		f.add(n, 0)
		if f.length == 0 {
			f.length = len(f.buf)
		}
	}
	return f
}

// add appends a command.
func (f *frames) add(sequence int, at time.Duration) {
	f.buf = append(f.buf, f.publish[f.topicOf(f.publisher, sequence)]...)
	size := sequence % len(f.sizes)
	f.buf = append(f.buf, f.sizeText[size]...)
	var s [stampLen]byte
	putStamp(s[:], f.publisher, sequence, at)
	copy(s[16:], f.mark[:])
	f.buf = append(f.buf, s[:]...)
	f.buf = append(f.buf, f.filler[:f.sizes[size]-stampLen]...)
	f.buf = append(f.buf, f.end...)
}

// next returns the encoded commands of n messages from sequence on, valid until the next call. at returns the scheduled
// time of each.
func (f *frames) next(sequence, n int, at func(sequence int) time.Duration) []byte {
	if len(f.sizes) > 1 {
		f.buf = f.buf[:0]
		for i := range n {
			f.add(sequence+i, at(sequence+i))
		}
		return f.buf
	}
	topic := f.topicOf(f.publisher, sequence)
	for i := range n {
		b := f.buf[i*f.length:]
		if len(f.topics) > 1 {
			copy(b, f.publish[topic])
			if topic++; topic == len(f.topics) {
				topic = 0
			}
		}
		putStamp(b[f.headerLen:], f.publisher, sequence+i, at(sequence+i))
	}
	return f.buf[:n*f.length]
}
