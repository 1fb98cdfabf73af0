package client

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMessageID(t *testing.T) {
	for _, connection := range []int{0, 1, maxConnections - 1} {
		for _, count := range []uint64{1, 2, 1<<countBits - 1} {
			id := newMessageID(connection, count)
			assert.NotZero(t, id)
			assert.Equal(t, connection, id.connection())
			assert.Equal(t, count, id.count())
		}
	}
}

func TestRecord(t *testing.T) {
	for _, r := range []Record{
		{"news", []byte("hi")},
		{"", []byte{}},
		{"PUBLISH\r\n$3\r\n", []byte("PUBLISH\r\n$1\r\n\r\n")},
		{"large", make([]byte, 100_000)},
	} {
		command := appendPublish(nil, r.Topic, r.Payload)
		assert.LessOrEqual(t, len(command), r.bound())
		assert.Equal(t, r, parseRecord(command))
	}
}

// book is an account as a test sees it: messages are told by their payloads, which are "1", "2" and so on.
type book struct {
	account
	t     *testing.T
	piece []byte
}

func (b *book) publish(n int) {
	for range n {
		r := Record{"t", []byte(fmt.Sprint(b.count + 1))}
		require.True(b.t, b.room(&r))
		b.put(&r, 10*b.count)
	}
}

// hand gives the writer one piece.
func (b *book) hand() {
	b.piece = b.account.piece()
}

// write is a write that took all but so many bytes.
func (b *book) write(missing int) {
	b.wrote(missing)
	b.settle()
}

// ok is so many acknowledgements.
func (b *book) ok(n int) {
	for range n {
		require.NoError(b.t, b.answered(answer{published: Published{Receivers: 1}}))
	}
	b.settle()
}

func (b *book) refuse() {
	require.NoError(b.t, b.answered(answer{refusal: &Error{Code: CodeNoPerm}}))
	b.settle()
}

func (b *book) nothing() {
	require.ErrorIs(b.t, b.answered(answer{}), ErrMalformed)
	b.settle()
}

// unacknowledged is what take hands out, by payload.
func (b *book) unacknowledged() (payloads []string) {
	for _, u := range b.take() {
		payloads = append(payloads, string(u.Payload))
	}
	return payloads
}

func TestAccount(t *testing.T) {
	tests := []struct {
		sentence string
		do       func(*book)
		settled  uint64
		lost     []string
	}{
		{"what is written and replied to is settled", func(b *book) { b.publish(2); b.hand(); b.write(0); b.ok(2) }, 2, nil},
		{
			"what is not replied to is lost, written or not",
			func(b *book) {
				b.publish(2)
				b.hand()
				b.write(0)
				b.publish(1)
				b.hand()
				b.publish(1)
				b.ok(1)
			},
			1,
			[]string{"2", "3", "4"},
		},
		{
			"a reply that comes while its message is being written counts when it is",
			func(b *book) { b.publish(2); b.hand(); b.ok(2); assert.Zero(b.t, b.settled); b.write(0) },
			2,
			nil,
		},
		{
			"a reply to a message that never left does not count",
			func(b *book) { b.publish(2); b.hand(); b.ok(2); b.write(len(b.piece)) },
			0,
			[]string{"1", "2"},
		},
		{
			"a message of which one byte is missing has not left",
			func(b *book) { b.publish(2); b.hand(); b.ok(2); b.write(1) },
			1,
			[]string{"2"},
		},
		{"a reply to nothing is none", func(b *book) { b.nothing() }, 0, nil},
		{
			"a reply to what the writer was not given is none",
			func(b *book) {
				b.publish(1)
				b.hand()
				b.publish(1)
				b.ok(1)
				b.nothing()
				b.write(0)
			},
			1,
			[]string{"2"},
		},
		{
			"what is refused is handed back among the others",
			func(b *book) {
				b.publish(3)
				b.hand()
				b.write(0)
				b.ok(1)
				b.refuse()
				b.ok(1)
			},
			3,
			[]string{"2"},
		},
		{
			"what is refused without having left is lost, and only once",
			func(b *book) { b.publish(2); b.hand(); b.refuse(); b.refuse(); b.write(len(b.piece)) },
			0,
			[]string{"1", "2"},
		},
		{
			"what is refused without having left is not handed back before it is lost",
			func(b *book) {
				b.publish(2)
				b.hand()
				b.refuse()
				assert.Empty(b.t, b.unacknowledged())
				require.NoError(b.t, b.failure())
				b.write(len(b.piece))
			},
			0,
			[]string{"1", "2"},
		},
		{
			"a lost message and a refused one",
			func(b *book) { b.publish(3); b.hand(); b.write(0); b.refuse() },
			1,
			[]string{"2", "3", "1"},
		},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			b := &book{account: newAccount(0, 4, 1<<20), t: t}
			test.do(b)
			b.end(assert.AnError)
			assert.Equal(t, test.settled, b.settled)
			assert.Equal(t, test.lost, b.unacknowledged())
			assert.Empty(t, b.take(), "a second time")
			assert.Zero(t, b.untaken)
		})
	}
}

func TestTheNumberIsKnownForTwoWindows(t *testing.T) {
	b := &book{account: newAccount(0, 4, 1<<20), t: t}
	for i := range uint64(20) {
		b.publish(1)
		b.hand()
		b.wrote(0)
		require.NoError(t, b.answered(answer{published: Published{Receivers: 3, Number: 100 + i + 1}}))
		b.settle()
	}
	for count := uint64(1); count <= 12; count++ {
		ack, err := b.ack(count)
		require.NoError(t, err)
		assert.Equal(t, Published{Receivers: -1}, ack)
	}
	for count := uint64(13); count <= 20; count++ {
		ack, err := b.ack(count)
		require.NoError(t, err)
		assert.Equal(t, Published{Receivers: 3, Number: 100 + count}, ack)
	}
}

func TestNumbersRise(t *testing.T) {
	b := &book{account: newAccount(0, 4, 1<<20), t: t}
	b.number = 7 // told by the greeting
	b.publish(4)
	b.hand()
	numbered := func(number uint64) answer { return answer{published: Published{Number: number}} }
	require.ErrorIs(t, b.answered(numbered(7)), ErrMalformed)
	require.NoError(t, b.answered(numbered(8)))
	require.ErrorIs(t, b.answered(numbered(8)), ErrMalformed)
	require.NoError(t, b.answered(numbered(12)))
}

// A refused message never turns into an acknowledged one by being forgotten.
func TestARefusalIsNotForgottenFalsely(t *testing.T) {
	b := &book{account: newAccount(0, 2, 1<<20), t: t}
	one := func(answer func()) {
		b.publish(1)
		b.hand()
		b.write(0)
		answer()
	}
	one(func() { b.ok(1) })
	one(b.refuse)
	require.Error(t, b.failure())
	for range 10 {
		one(func() { b.ok(1) })
	}
	_, err := b.ack(2)
	require.ErrorContains(t, err, "NOPERM", "nobody has taken it")
	assert.Equal(t, []string{"2"}, b.unacknowledged())
	require.NoError(t, b.failure())
	_, err = b.ack(2)
	require.ErrorIs(t, err, ErrRefused)
	for _, count := range []uint64{1, 3} {
		ack, err := b.ack(count)
		require.NoError(t, err)
		assert.Equal(t, Published{Receivers: -1}, ack)
	}
}

// Of refused messages that are long past, so many are remembered; what is behind the last forgotten one is still known.
func TestRefusalsArePast(t *testing.T) {
	const forgotten = 3
	b := &book{account: newAccount(0, 4, 1<<20), t: t}
	two := func(answers ...func()) {
		b.publish(2)
		b.hand()
		b.write(0)
		for _, answer := range answers {
			answer()
		}
	}
	for range maxPast + forgotten { // the even ones are refused
		two(func() { b.ok(1) }, b.refuse)
		b.take()
	}
	for range b.window {
		two(func() { b.ok(2) })
	}
	b.take()
	for count := uint64(1); count <= 2*(maxPast+forgotten); count++ {
		_, err := b.ack(count)
		switch {
		case count <= 2*forgotten:
			require.Equal(t, ErrForgotten, err, count)
		case count%2 == 0:
			require.Equal(t, ErrRefused, err, count)
		default:
			require.NoError(t, err, count)
		}
	}
	assert.LessOrEqual(t, cap(b.past), 2*maxPast)
}

func TestRefusalsClog(t *testing.T) {
	b := &book{account: newAccount(0, 3, 1<<20), t: t}
	b.publish(3)
	b.hand()
	b.write(0)
	b.refuse()
	b.refuse()
	require.NoError(t, b.clogged())
	b.refuse()
	require.ErrorIs(t, b.clogged(), ErrClogged)
	b.take()
	require.NoError(t, b.clogged())

	for _, c := range []struct {
		sentence string
		record   Record
	}{
		{"the bytes count as well", Record{Payload: make([]byte, 100)}},
		{"and those of the topic", Record{Topic: strings.Repeat("t", 100)}},
	} {
		b = &book{account: newAccount(0, 3, 100), t: t}
		require.True(t, b.room(&Record{}))
		b.put(&c.record, 1)
		b.hand()
		b.write(0)
		b.refuse()
		require.ErrorIs(t, b.clogged(), ErrClogged, c.sentence)
		b.take()
		require.NoError(t, b.clogged())
	}
}

func TestWindow(t *testing.T) {
	small, large := &Record{"t", []byte("x")}, &Record{"t", make([]byte, 200_000)}
	t.Run("of messages", func(t *testing.T) {
		a := newAccount(0, 2, 1<<20)
		a.put(small, 1)
		require.True(t, a.room(small))
		a.put(small, 2)
		require.False(t, a.room(small))
	})
	t.Run("of bytes", func(t *testing.T) {
		a := newAccount(0, 1000, len(appendPublish(nil, small.Topic, small.Payload))+small.bound())
		a.put(small, 1)
		require.True(t, a.room(small))
		a.put(small, 2)
		require.False(t, a.room(small))
	})
	t.Run("what is larger than the window goes alone", func(t *testing.T) {
		a := newAccount(0, 1000, 100_000)
		require.True(t, a.room(large))
		a.put(large, 1)
		require.False(t, a.room(small))
		assert.Len(t, a.piece(), len(appendPublish(nil, large.Topic, large.Payload)))
	})
}

// Bytes come out of the segments as they went in, in any mixture of sizes, and memory is used again.
func TestSegments(t *testing.T) {
	a := newAccount(0, 1000, 1<<20)
	var want, got []byte
	write := func(keep uint64) {
		for a.handed < a.count {
			got = append(got, a.piece()...)
			a.wrote(0)
		}
		for a.replied+keep < a.count {
			require.NoError(t, a.answered(answer{}))
		}
		a.settle()
	}
	for i := range 3000 {
		r := Record{"t", make([]byte, i*7919%5000)}
		if i%500 == 0 {
			r.Payload = make([]byte, 3*segmentSize)
		}
		want = appendPublish(want, r.Topic, r.Payload)
		a.put(&r, uint64(i))
		if i%17 == 0 {
			write(uint64(i % 5))
		}
	}
	write(0)
	require.Equal(t, string(want), string(got))
	assert.Nil(t, a.segments.head)
	spare := 0
	for s := a.segments.spare; s != nil; s = s.next {
		spare++
		assert.LessOrEqual(t, cap(s.bytes), segmentSize, "what a large message took is given back")
	}
	assert.LessOrEqual(t, spare, 8)
}
