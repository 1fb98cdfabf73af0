package outbox

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// reply adds a reply that waits for a record, 0 for none.
func reply(o *Outbox, record uint64, text string) (start bool) {
	p := NewUnflushed()
	if record > 0 {
		p.Hold(record)
	}
	p.Add(Fragment{Bytes: []byte(text)}, FrameInfo{Kind: KindReplies})
	return o.Add(p, 0)
}

// release makes records safe, as the core does.
func release(o *Outbox, record uint64) (start bool) {
	o.totals.Released.Store(record)
	return o.Resume()
}

func TestTheWriterStopsAtABarrier(t *testing.T) {
	o, a := newOutbox(1<<20), NewAccount("a")
	assert.True(t, reply(o, 0, "+before\r\n"))
	assert.False(t, reply(o, 7, "+seven\r\n"))
	assert.Equal(t, "+before\r\n", written(o))
	assert.False(t, reply(o, 0, "+behind\r\n"), "the order of an outbox does not change")
	assert.False(t, live(o, a, 1))
	assert.False(t, reply(o, 9, "+nine\r\n"))
	assert.False(t, release(o, 6))
	assert.True(t, release(o, 7))
	assert.False(t, release(o, 8), "there is a writer")
	assert.Equal(t, "+seven\r\n+behind\r\n"+lines(1), written(o))
	assert.True(t, release(o, 9))
	assert.Equal(t, "+nine\r\n", written(o))
	assert.True(t, reply(o, 9, "+at once\r\n"), "the record is safe already")
	assert.Equal(t, "+at once\r\n", written(o))
	assert.Zero(t, o.WaitingBytes())
	assert.Zero(t, o.ReplyBytes())
	assert.Zero(t, o.overhead.Load())
}

// What is queued in front of the first frame that depends on a record does not wait for it.
func TestABarrierHoldsFromItsFrameOn(t *testing.T) {
	o, p := newOutbox(1<<20), NewUnflushed()
	text := []byte("+1\r\n+2\r\n+3\r\n") // adjacent in memory
	p.Add(Fragment{Bytes: text[:4]}, FrameInfo{Kind: KindReplies})
	p.Hold(3)
	p.Add(Fragment{Bytes: text[4:8]}, FrameInfo{Kind: KindReplies})
	p.Hold(4)
	p.Add(Fragment{Bytes: text[8:]}, FrameInfo{Kind: KindReplies})
	assert.True(t, o.Add(p, 0))
	assert.Equal(t, "+1\r\n", written(o))
	assert.False(t, release(o, 3))
	assert.True(t, release(o, 4))
	assert.Equal(t, "+2\r\n+3\r\n", written(o))
}

// The log is slow, and not the client: no policy applies to what a barrier holds up.
func TestTheLimitDoesNotCountWhatABarrierHoldsUp(t *testing.T) {
	size := len(line(1))
	for _, policy := range []Policy{Disconnect, DropNewest, DropOldest} {
		o, a := newOutbox(2*size), NewAccount("a")
		o.SetPolicy(policy)
		live(o, a, 1)
		reply(o, 1, "+1\r\n")
		for n := range 9 {
			live(o, a, n)
		}
		assert.EqualValues(t, size, o.MessageBytes(), policy)
		assert.False(t, o.IsOver(0))
		assert.EqualValues(t, 10*size+4, o.WaitingBytes(), "it counts as memory")
		release(o, 1)
		assert.EqualValues(t, size, o.MessageBytes(), "it stays exempt until it is written")
		live(o, a, 9)
		assert.EqualValues(t, 2*size, o.MessageBytes())
		live(o, a, 9)
		if policy == DropOldest {
			assert.EqualValues(t, 2*size, o.MessageBytes(), "what no barrier has held up is dropped")
			assert.EqualValues(t, 1, o.Counts().Dropped)
		}
		assert.Contains(t, written(o), "+1\r\n"+lines(0, 1, 2, 3, 4, 5, 6, 7, 8))
		assert.Zero(t, o.exempt.Load())
		assert.Zero(t, o.MessageBytes())
		c := o.Counts()
		assert.Zero(t, c.Waiting())
	}
}

func TestAnEvictionDropsWhatABarrierHoldsUp(t *testing.T) {
	o, a := newOutbox(1<<20), NewAccount("a")
	reply(o, 1, "+1\r\n")
	live(o, a, 1)
	assert.True(t, o.Evict(anySocket{}, []byte("ERR gone\n")))
	assert.Equal(t, "ERR gone\n", written(o))
	assert.False(t, release(o, 1))
	assert.EqualValues(t, 1, o.Counts().Undelivered)
	assert.Zero(t, o.overhead.Load())
}

// filled adds a part of a reply to its place.
func filled(o *Outbox, at *Place, text string, done bool) (ok, start bool) {
	p := NewUnflushed()
	if text != "" {
		p.Add(Fragment{Bytes: []byte(text)}, FrameInfo{Kind: KindFilled})
	}
	return o.Fill(p, at, done)
}

func TestAReplyIsFilledInItsPlace(t *testing.T) {
	o, at, p := newOutbox(1<<20), new(Place), NewUnflushed()
	p.Add(Fragment{Bytes: []byte("*2\r\n")}, FrameInfo{Kind: KindReplies})
	p.AddPlace(at)
	p.Add(Fragment{Bytes: []byte("+behind\r\n")}, FrameInfo{Kind: KindReplies})
	assert.True(t, o.Add(p, 0))
	assert.Equal(t, 1, o.Places())
	assert.Equal(t, "*2\r\n", written(o))
	_, start := filled(o, at, "+1\r\n", false)
	assert.True(t, start)
	assert.EqualValues(t, 4, o.FilledBytes())
	assert.EqualValues(t, len("+behind\r\n"), o.ReplyBytes(), "what is filled does not make the reader wait")
	assert.Zero(t, o.MessageBytes())
	assert.Equal(t, "+1\r\n", written(o))
	assert.Zero(t, o.FilledBytes())
	_, start = filled(o, at, "+2\r\n", true)
	assert.True(t, start)
	assert.Equal(t, "+2\r\n+behind\r\n", written(o))
	assert.Zero(t, o.Places())
	assert.Zero(t, o.WaitingBytes())
	assert.Zero(t, o.overhead.Load())
}

func TestAPlaceGoesWithItsOutbox(t *testing.T) {
	o, at, p := newOutbox(1<<20), new(Place), NewUnflushed()
	p.AddPlace(at)
	assert.False(t, o.Add(p, 0))
	o.Evict(anySocket{}, nil)
	ok, start := filled(o, at, "+1\r\n", true)
	assert.False(t, ok)
	assert.False(t, start)
	assert.Empty(t, written(o))
	assert.Zero(t, o.overhead.Load())
}

// item is what the model has in the place of bytes: a frame, or a stop.
type item struct {
	text   string
	record uint64 // that it waits for
	mark   *Mark  // of a replay
	place  *Place
}

// outboxModel is the order of an outbox as a list.
type outboxModel struct {
	items    []item
	released uint64
	newest   uint64 // record that any of them waits for
}

// barrier is what the next item waits for in any case.
func (m *outboxModel) barrier() uint64 {
	if m.newest > m.released {
		return m.newest
	}
	return 0
}

// take removes and returns what may be written.
func (m *outboxModel) take() (text string) {
	for len(m.items) > 0 {
		if i := m.items[0]; i.mark != nil || i.place != nil || i.record > m.released {
			break
		}
		text += m.items[0].text
		m.items = m.items[1:]
	}
	return text
}

// insert puts a frame in front of the first item that is.
func (m *outboxModel) insert(text string, is func(item) bool) {
	for i := range m.items {
		if is(m.items[i]) {
			m.items = slices.Insert(m.items, i, item{text: text, record: m.items[i].record})
			return
		}
	}
}

func (m *outboxModel) remove(is func(item) bool) {
	for i := range m.items {
		if is(m.items[i]) {
			m.items = slices.Delete(m.items, i, i+1)
			return
		}
	}
}

// Replies, deliveries, barriers, places and replays meet in one outbox, and the writer writes whenever it is started. What it
// writes is what the model has in front of the first stop, each time.
func TestTheOrderOfAnOutbox(t *testing.T) {
	for seed := range uint64(50) {
		run := outboxRun{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), outbox: newOutbox(1 << 20), account: NewAccount("a")}
		for range 200 {
			run.step()
		}
		run.end()
	}
}

type outboxRun struct {
	t       *testing.T
	seed    uint64
	random  *rand.Rand
	outbox  *Outbox
	account *Account
	model   outboxModel
	marks   []*Mark
	places  []*Place
	record  uint64 // the newest
	frames  int
	writing bool
}

// frame is the next frame: short, or one that is a chunk of its own.
func (r *outboxRun) frame() string {
	r.frames++
	text := fmt.Sprintf("UPDATE a %d\n", r.frames)
	if r.random.IntN(10) == 0 {
		text = strings.Replace(text, "a", "a"+strings.Repeat(" long", minShared/4), 1)
	}
	return text
}

func (r *outboxRun) step() {
	o := r.outbox
	switch r.random.IntN(8) {
	case 0, 1, 2:
		r.flush()
	case 3:
		if r.model.released < r.record {
			r.model.released += 1 + r.random.Uint64N(r.record-r.model.released)
			r.started(release(o, r.model.released))
		}
	case 4:
		m := new(Mark)
		o.AddMark(m)
		r.marks = append(r.marks, m)
		r.model.items = append(r.model.items, item{mark: m, record: r.model.barrier()})
	case 5:
		r.replay()
	case 6:
		r.fill()
	case 7:
		r.write()
	}
}

// flush adds what one round has for the connection. From its first frame that depends on a record on, all wait for the newest.
func (r *outboxRun) flush() {
	p, start := NewUnflushed(), len(r.model.items)
	held := -1
	for range 1 + r.random.IntN(4) {
		next := item{record: r.model.barrier()}
		switch r.random.IntN(6) {
		case 0:
			r.record++
			p.Hold(r.record)
			if held < 0 {
				held = len(r.model.items)
			}
			continue
		case 1:
			next.place = new(Place)
			p.AddPlace(next.place)
			r.places = append(r.places, next.place)
		case 2, 3:
			next.text = r.frame()
			p.Add(Fragment{Bytes: []byte(next.text)}, FrameInfo{Kind: KindReplies})
		default:
			next.text = r.frame()
			p.Add(Fragment{Bytes: []byte(next.text)}, FrameInfo{Account: r.account, Count: 1, Format: FormatLF})
		}
		r.model.items = append(r.model.items, next)
	}
	if held >= 0 && held < len(r.model.items) {
		r.model.newest = r.record
		for i := max(held, start); i < len(r.model.items); i++ {
			r.model.items[i].record = r.record
		}
	}
	r.started(r.outbox.Add(p, 0))
}

func (r *outboxRun) replay() {
	if len(r.marks) == 0 {
		return
	}
	i := r.random.IntN(len(r.marks))
	m := r.marks[i]
	is := func(i item) bool { return i.mark == m }
	p, text := NewUnflushed(), r.frame()
	p.Add(Fragment{Bytes: []byte(text)}, FrameInfo{Kind: KindReplayed})
	_, start := r.outbox.AddReplay(p, m, []*Account{r.account})
	r.model.insert(text, is)
	r.started(start)
	if r.random.IntN(2) == 0 {
		r.model.remove(is)
		r.marks = slices.Delete(r.marks, i, i+1)
		r.started(r.outbox.RemoveMark(m))
	}
}

func (r *outboxRun) fill() {
	if len(r.places) == 0 {
		return
	}
	i := r.random.IntN(len(r.places))
	at, text, done := r.places[i], r.frame(), r.random.IntN(2) == 0
	is := func(i item) bool { return i.place == at }
	_, start := filled(r.outbox, at, text, done)
	r.model.insert(text, is)
	if done {
		r.model.remove(is)
		r.places = slices.Delete(r.places, i, i+1)
	}
	require.Equal(r.t, len(r.places), r.outbox.Places())
	r.started(start)
}

// started takes note of whether a writer is to be started, which must be so if it has anything to write.
func (r *outboxRun) started(start bool) {
	require.False(r.t, start && r.writing, "seed %d: two writers", r.seed)
	r.writing = r.writing || start
}

func (r *outboxRun) write() {
	want := r.model.take()
	require.Equal(r.t, want != "", r.writing, "seed %d", r.seed)
	require.Equal(r.t, want, written(r.outbox), "seed %d", r.seed)
	r.writing = false
}

func (r *outboxRun) end() {
	for len(r.marks)+len(r.places) > 0 {
		r.replay()
		r.fill()
	}
	r.model.released = r.record
	r.started(release(r.outbox, r.record))
	r.write()
	o := r.outbox
	require.Empty(r.t, r.model.items)
	require.Zero(r.t, o.WaitingBytes()+o.ReplyBytes()+o.ReplayBytes()+o.FilledBytes()+o.exempt.Load()+o.overhead.Load(), "seed %d", r.seed)
	c := o.Counts()
	require.Zero(r.t, c.Waiting())
	require.Zero(r.t, o.marksLocked())
}
