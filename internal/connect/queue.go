package connect

import (
	"bytes"
	"context"
	"sync"
)

// maxTaken and maxTakenBytes bound what one Take returns; one message is always returned, whatever its size.
const maxTaken, maxTakenBytes = 256, 1 << 20

// Queue is between the goroutine of a driver that reads from its library, and Source.Read, which the engine calls when it has room. A Read
// that its context ends leaves in the queue what it did not take, so the engine may end a Read at any time.
type Queue struct {
	limit int // of the payload bytes that wait

	mu      sync.Mutex // guards the fields below; held for a few instructions
	waiting []Message
	bytes   int
	ended   error

	// Each holds one note at most: that the queue has something, or has room. One goroutine puts and one takes, so one note is enough.
	filled, freed chan struct{}
}

// NewQueue returns a queue for so many bytes of payloads and headers. A larger message waits alone.
func NewQueue(bytes int) *Queue {
	return &Queue{limit: bytes, filled: make(chan struct{}, 1), freed: make(chan struct{}, 1)}
}

// Put adds a message. It waits while the queue is full; its error is that of ctx.
func (q *Queue) Put(ctx context.Context, m Message) error {
	for !q.put(m) {
		select {
		case <-q.freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	note(q.filled)
	return nil
}

func (q *Queue) put(m Message) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := sizeOf(&m)
	if len(q.waiting) > 0 && q.bytes+size > q.limit {
		return false
	}
	q.waiting = append(q.waiting, m)
	q.bytes += size
	return true
}

// Take returns what waits, in the order of Put, and waits for the first message. Once all is taken and End was called, it returns the
// error of End.
func (q *Queue) Take(ctx context.Context) ([]Message, error) {
	for {
		taken, err := q.take()
		if len(taken) > 0 {
			note(q.freed)
			return taken, nil
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-q.filled:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (q *Queue) take() ([]Message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < len(q.waiting) && n < maxTaken {
		next := sizeOf(&q.waiting[n])
		if n > 0 && size+next > maxTakenBytes {
			break
		}
		n, size = n+1, size+next
	}
	taken := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	q.bytes -= size
	return taken, q.ended
}

// Clip cuts a payload that is over the limit to one byte more than that, which still shows it. A library may read messages whole, and the queue of its
// driver may have many of them.
func Clip(payload []byte, limit int) []byte {
	if len(payload) <= limit {
		return payload
	}
	return bytes.Clone(payload[:limit+1])
}

// End notes that nothing more comes, and why. The first call counts; err is not nil.
func (q *Queue) End(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended == nil {
		q.ended = err
	}
	note(q.filled)
}

func note(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is noted already
	}
}

// messageBytes stands for what a message needs beside its texts, so that empty ones are bounded, too.
const messageBytes = 128

func sizeOf(m *Message) int {
	size := messageBytes + len(m.Payload) + len(m.ID) + len(m.Position)
	for _, h := range m.Headers {
		size += len(h.Name) + len(h.Value)
	}
	return size
}
