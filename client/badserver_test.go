package client

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serverEnd is the server's end of a connection without a buffer: all that the client has written is read.
type serverEnd struct {
	net.Conn
	t        *testing.T
	received int // messages
}

// pipe returns a connection after its handshake, and the server's end of it.
func pipe(t *testing.T, hasSeq bool) (*conn, *serverEnd) {
	near, end := net.Pipe()
	return &conn{Conn: near, replies: newReplyReader(near, 1<<10), hasSeq: hasSeq},
		&serverEnd{Conn: end, t: t}
}

// receive reads n messages and not a byte more.
func (f *serverEnd) receive(n int) {
	var b [1]byte
	for lines := 7 * n; lines > 0; { // of commands whose texts have none
		_, err := f.Read(b[:])
		require.NoError(f.t, err)
		if b[0] == '\n' {
			lines--
		}
	}
	f.received += n
	synctest.Wait()
}

// send writes replies; the publisher may have closed.
func (f *serverEnd) send(text string) {
	_, _ = io.WriteString(f.Conn, text)
	synctest.Wait()
}

func (f *serverEnd) close() {
	_ = f.Close() // always nil for a pipe
	synctest.Wait()
}

var patient = PublisherOptions{Window: 100, WindowBytes: 1 << 20, Grace: 5 * time.Second}

// A faulty server: one message is published and written, then two more. No acknowledgement counts for a message that
// was not written, and the publisher knows the state of each message.
func TestBadServer(t *testing.T) {
	tests := []struct {
		sentence string
		hasSeq   bool
		server   func(*serverEnd)
		acked    []string
		cause    string // why the connection broke
	}{
		{"acknowledges all", false, func(f *serverEnd) { f.receive(3); f.send(":1\r\n:1\r\n:1\r\n") }, []string{"m-0", "n-0", "n-1"}, ""},
		{"closes at once", false, func(f *serverEnd) { f.close() }, nil, "connection 0: "},
		{"closes when it has read", false, func(f *serverEnd) { f.receive(3); f.close() }, nil, "EOF"},
		{"acknowledges one and closes", false, func(f *serverEnd) { f.receive(3); f.send(":1\r\n"); f.close() }, []string{"m-0"}, "EOF"},
		{
			"acknowledges before it has read",
			false,
			func(f *serverEnd) { f.send(":1\r\n"); f.close() },
			nil,
			"connection 0: ", // reader or writer may fail first
		},
		{"acknowledges more than was given to the socket", false, func(f *serverEnd) { f.send(":1\r\n:1\r\n") }, nil, "a reply to no command"},
		{
			"acknowledges one twice, with the next on its way",
			false,
			func(f *serverEnd) { f.receive(1); f.send(":1\r\n:1\r\n"); f.close() },
			[]string{"m-0"},
			"connection 0: ",
		},
		{
			"acknowledges all, and one once more",
			false,
			func(f *serverEnd) { f.receive(3); f.send(":1\r\n:1\r\n:1\r\n:1\r\n") },
			[]string{"m-0", "n-0", "n-1"},
			"a reply to no command",
		},
		{
			"acknowledges after garbage",
			false,
			func(f *serverEnd) { f.receive(3); f.send(":1\r\n?what\r\n:1\r\n:1\r\n") },
			[]string{"m-0"},
			"malformed reply",
		},
		{"sends half an acknowledgement", false, func(f *serverEnd) { f.receive(3); f.send(":1\r\n:1"); f.close() }, []string{"m-0"}, "unexpected EOF"},
		{
			"sends half an acknowledgement, and nothing more",
			false,
			func(f *serverEnd) { f.receive(3); f.send(":1\r\n:1"); time.Sleep(time.Hour) }, //nolint:forbidigo // no time passes
			[]string{"m-0"},
			ErrAckTimeout.Error(),
		},
		{"sends OK", false, func(f *serverEnd) { f.receive(3); f.send("+OK\r\n") }, nil, "unexpected reply '+'"},
		{"sends null", false, func(f *serverEnd) { f.receive(3); f.send("$-1\r\n") }, nil, "unexpected reply '_'"},
		{"sends the reply to another command", false, func(f *serverEnd) { f.receive(3); f.send("$1\r\n1\r\n") }, nil, "unexpected reply '$'"},
		{"counts receivers below zero", false, func(f *serverEnd) { f.receive(3); f.send(":-1\r\n") }, nil, "to -1 receivers"},
		{
			"sends a close notice, which acknowledges nothing",
			false,
			func(f *serverEnd) {
				f.receive(3)
				f.send(":1\r\n>3\r\n$7\r\nclosing\r\n$4\r\nstop\r\n$3\r\nbye\r\n:1\r\n")
				f.close()
			},
			[]string{"m-0", "n-0"},
			"closed by the server: stop: bye",
		},
		{"sends sequences that were not requested", false, func(f *serverEnd) { f.receive(3); f.send("*2\r\n:1\r\n:7\r\n") }, nil, "with sequence 7"},
		{
			"acknowledges with sequences",
			true,
			func(f *serverEnd) { f.receive(3); f.send("*2\r\n:1\r\n:7\r\n*2\r\n:0\r\n:9\r\n*2\r\n:1\r\n:10\r\n") },
			[]string{"m-0", "n-0", "n-1"},
			"",
		},
		{
			"acknowledges one twice, with the same sequence",
			true,
			func(f *serverEnd) { f.receive(3); f.send("*2\r\n:1\r\n:7\r\n*2\r\n:1\r\n:7\r\n") },
			[]string{"m-0"},
			"sequence 7 after sequence 7",
		},
		{"sends sequence 0", true, func(f *serverEnd) { f.receive(3); f.send("*2\r\n:1\r\n:0\r\n") }, nil, "with sequence 0"},
		{"sends no sequence", true, func(f *serverEnd) { f.receive(3); f.send(":1\r\n") }, nil, "with sequence 0"},
		{"sends half a sequence", true, func(f *serverEnd) { f.receive(3); f.send("*2\r\n:1\r\n:"); f.close() }, nil, "unexpected EOF"},
		{"sends an element too many", true, func(f *serverEnd) { f.receive(3); f.send("*3\r\n:1\r\n:1\r\n:1\r\n") }, nil, "unexpected reply '*'"},
		{"refuses one", false, func(f *serverEnd) { f.receive(3); f.send(":1\r\n-NOPERM no\r\n:1\r\n") }, []string{"m-0", "n-1"}, ""},
		{
			"refuses one, with sequences",
			true,
			func(f *serverEnd) { f.receive(3); f.send("-NOPERM no\r\n*2\r\n:0\r\n:1\r\n*2\r\n:0\r\n:2\r\n") },
			[]string{"n-0", "n-1"},
			"",
		},
		{"sends an error reply to no command", false, func(f *serverEnd) { f.receive(3); f.send(":1\r\n:1\r\n:1\r\n-ERR bye\r\n") }, []string{"m-0", "n-0", "n-1"}, "closed by the server: ERR bye"},
		{
			"refuses one as too long, and closes",
			false,
			func(f *serverEnd) { f.receive(3); f.send(":1\r\n-ERR Protocol error: too long\r\n"); f.close() },
			[]string{"m-0"},
			"closed by the server: ERR Protocol error: too long",
		},
		{"reads, and never answers", false, func(f *serverEnd) { f.receive(3) }, nil, ErrAckTimeout.Error()},
		{"neither reads nor answers", false, func(*serverEnd) {}, nil, ErrAckTimeout.Error()},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, f := pipe(t, test.hasSeq)
				p := startPublisher([]*conn{c}, Options{PingAfter: 30 * time.Second}, patient)
				messages, err := publishAll(t.Context(), p, "t", "m", 1, "")
				require.NoError(t, err)
				synctest.Wait() // the writer has this message only
				more, err := publishAll(t.Context(), p, "t", "n", 2, "")
				require.NoError(t, err)
				messages = append(messages, more...)
				test.server(f)
				_ = p.Flush(context.Background()) // tally checks the outcome
				if test.cause == "" {
					require.NoError(t, p.Err())
				} else {
					require.ErrorContains(t, p.Err(), test.cause)
					_, err := p.Publish(t.Context(), "t", nil)
					require.ErrorIs(t, err, p.Err())
				}
				_ = p.Close()
				acked, unacked := tally(t, p, "t", messages)
				assert.Len(t, acked, len(test.acked))
				for _, payload := range test.acked {
					assert.True(t, acked[payload], payload)
				}
				assert.LessOrEqual(t, len(acked), f.received)
				assert.Len(t, unacked, 3-len(acked))
				_, err = p.Publish(t.Context(), "t", nil)
				require.Error(t, err)
				f.close()
			})
		})
	}
}

// A server may refuse a message after reading its beginning. The outcome is unknown, and the error has the text of the
// refusal.
func TestMessageTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := pipe(t, false)
		p := startPublisher([]*conn{c}, Options{PingAfter: 30 * time.Second}, patient)
		id, err := p.Publish(t.Context(), "t", []byte("hi"))
		require.NoError(t, err)
		_, err = f.Read(make([]byte, 3))
		require.NoError(t, err)
		f.send("-ERR Protocol error: too long\r\n")
		f.close()
		_, err = p.Wait(t.Context(), id)
		require.ErrorIs(t, err, ErrOutcomeUnknown)
		require.ErrorContains(t, err, "closed by the server: ERR Protocol error: too long")
		left := p.Unacked()
		require.Len(t, left, 1)
		require.ErrorContains(t, left[0].Cause, "too long")
		require.NoError(t, p.Close())
	})
}

// A complete reply does not wait for the rest of the next one.
func TestPartialReplyDelaysNothing(t *testing.T) {
	for _, test := range []struct {
		hasSeq bool
		reply  string
	}{{false, ":0\r\n:"}, {true, "*2\r\n:0\r\n:1\r\n*2\r\n:0\r\n"}} {
		synctest.Test(t, func(t *testing.T) {
			c, f := pipe(t, test.hasSeq)
			p := startPublisher([]*conn{c}, Options{}, patient)
			messages, err := publishAll(t.Context(), p, "t", "m", 2, "")
			require.NoError(t, err)
			f.receive(2)
			f.send(test.reply)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err = p.Wait(ctx, messages[0].id)
			require.NoError(t, err)
			f.close()
			require.ErrorIs(t, p.Close(), ErrOutcomeUnknown)
		})
	}
}

// A publisher stops as soon as a connection breaks, before the others are closed.
func TestStoppedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := pipe(t, false)
		p := startPublisher([]*conn{c}, Options{}, patient)
		messages, err := publishAll(t.Context(), p, "t", "m", 1, "")
		require.NoError(t, err)
		cause := assert.AnError
		p.firstErr.Store(&cause) // as connBroken does, before it closes the others
		_, err = p.Publish(t.Context(), "t", nil)
		require.ErrorIs(t, err, cause)
		left := p.Unacked()
		require.Len(t, left, 1, "what is in flight is waited for")
		require.Equal(t, messages[0].id, left[0].ID)
		require.NoError(t, p.Close())
		f.close()
	})
}

// One connection of two breaks, with messages in flight on both.
func TestOneOfTwoBreaks(t *testing.T) {
	two := func(t *testing.T, keepGoing bool, test func(t *testing.T, p *Publisher, broken, healthy *serverEnd, messages []sent)) {
		synctest.Test(t, func(t *testing.T) {
			a, one := pipe(t, false)
			b, other := pipe(t, false)
			o := patient
			o.KeepGoing = keepGoing
			p := startPublisher([]*conn{a, b}, Options{PingAfter: 30 * time.Second}, o)
			messages, err := publishAll(t.Context(), p, "t", "m", 4, "")
			require.NoError(t, err)
			broken, healthy := one, other
			if messages[0].id.connection() == 1 {
				broken, healthy = other, one
			}
			broken.receive(2)
			test(t, p, broken, healthy, messages)
			broken.close()
			healthy.close()
		})
	}
	t.Run("the healthy one is flushed", func(t *testing.T) {
		two(t, false, func(t *testing.T, p *Publisher, broken, healthy *serverEnd, messages []sent) {
			broken.close()
			_, err := p.Publish(t.Context(), "t", nil)
			require.ErrorIs(t, err, io.EOF)
			healthy.receive(2)
			healthy.send(":1\r\n:1\r\n")
			_, err = healthy.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF, "it is closed when it has done what it had to")
			left := p.Unacked()
			require.Len(t, left, 2)
			assert.Equal(t, messages[0].id, left[0].ID)
			assert.Equal(t, messages[2].id, left[1].ID)
			_, err = p.Wait(t.Context(), messages[3].id)
			require.NoError(t, err)
			require.NoError(t, p.Close(), "everything is accounted for")
		})
	})
	t.Run("the healthy one is not waited for longer than the grace", func(t *testing.T) {
		two(t, false, func(t *testing.T, p *Publisher, broken, healthy *serverEnd, messages []sent) {
			healthy.receive(2)
			healthy.send(":1\r\n")
			begin := time.Now()
			broken.close()
			left := p.Unacked()
			assert.Equal(t, patient.Grace, time.Since(begin))
			require.Len(t, left, 3)
			assert.Equal(t, messages[0].id, left[0].ID)
			assert.Equal(t, messages[2].id, left[1].ID)
			assert.Equal(t, messages[3].id, left[2].ID)
			require.ErrorIs(t, left[0].Cause, io.EOF)
			require.ErrorIs(t, left[2].Cause, ErrAckTimeout)
			require.ErrorIs(t, p.Err(), io.EOF, "the first cause")
			require.NoError(t, p.Close())
		})
	})
	for _, of := range []string{"the broken one", "the healthy one"} {
		t.Run("a publish that waits for room of "+of+" gets the first cause", func(t *testing.T) {
			two(t, false, func(t *testing.T, p *Publisher, broken, _ *serverEnd, messages []sent) {
				at := messages[0].id.connection() // the broken one's
				if of == "the healthy one" {
					at = 1 - at
				}
				key := "k"
				for p.pickConn(key, true) != at {
					key += "k"
				}
				failed := make(chan error)
				go func() {
					more, err := publishAll(t.Context(), p, "t", "n", 1000, key)
					messages = append(messages, more...)
					failed <- err
				}()
				synctest.Wait()
				begin := time.Now()
				broken.close()
				err := <-failed
				require.ErrorIs(t, err, p.Err())
				assert.Zero(t, time.Since(begin), "it waited for what the other connection does")
				_ = p.Close()
				acked, _ := tally(t, p, "t", messages)
				assert.Empty(t, acked)
			})
		})
	}
	t.Run("acknowledgements of the broken one still count", func(t *testing.T) {
		two(t, false, func(t *testing.T, p *Publisher, broken, _ *serverEnd, messages []sent) {
			l := p.conns[messages[0].id.connection()]
			l.mu.Lock()
			l.breakLocked(io.ErrClosedPipe) // the writer fails
			l.mu.Unlock()
			broken.send(":1\r\n")
			_, err := p.Wait(t.Context(), messages[0].id)
			require.NoError(t, err)
			_, err = p.Wait(t.Context(), messages[2].id)
			require.ErrorIs(t, err, ErrOutcomeUnknown)
		})
	})
	t.Run("a batch that is taken in part says so", func(t *testing.T) {
		two(t, false, func(t *testing.T, p *Publisher, broken, _ *serverEnd, messages []sent) {
			failed := make(chan error)
			go func() {
				more, err := batchAll(t.Context(), p, "t", "n", 1000, "")
				assert.Len(t, more, patient.Window-2, "all that there was room for")
				messages = append(messages, more...)
				failed <- err
			}()
			synctest.Wait()
			broken.close()
			require.ErrorIs(t, <-failed, p.Err())
			_ = p.Close()
			tally(t, p, "t", messages)
		})
	})
	t.Run("the others keep going", func(t *testing.T) {
		two(t, true, func(t *testing.T, p *Publisher, broken, healthy *serverEnd, messages []sent) {
			broken.close()
			left := p.Unacked()
			require.Len(t, left, 2)
			assert.Equal(t, messages[0].id, left[0].ID)
			assert.Equal(t, messages[2].id, left[1].ID)
			require.ErrorIs(t, p.Err(), io.EOF)
			more, err := publishAll(t.Context(), p, "t", "n", 10, "")
			require.NoError(t, err)
			key := "k"
			for p.pickConn(key, true) != messages[0].id.connection() {
				key += "k"
			}
			moved, err := publishAll(t.Context(), p, "t", "moved", 1, key)
			require.NoError(t, err)
			more = append(more, moved...)
			healthy.receive(2 + 11)
			healthy.send(strings.Repeat(":1\r\n", 2+11))
			require.NoError(t, p.Flush(t.Context()))
			require.NoError(t, p.Close())
			acked, unacked := tally(t, p, "t", more)
			assert.Len(t, acked, 11)
			assert.Empty(t, unacked)
		})
	})
	t.Run("until none is left", func(t *testing.T) {
		two(t, true, func(t *testing.T, p *Publisher, broken, healthy *serverEnd, messages []sent) {
			broken.close()
			healthy.send("*\r\n")
			_, err := p.Publish(t.Context(), "t", nil)
			require.ErrorIs(t, err, io.EOF, "the first cause")
			require.ErrorIs(t, p.Close(), ErrOutcomeUnknown)
			acked, unacked := tally(t, p, "t", messages)
			assert.Empty(t, acked)
			assert.Len(t, unacked, 4)
		})
	})
}

func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := pipe(t, false)
		o := patient
		o.Window = 4
		p := startPublisher([]*conn{c}, Options{}, o)
		messages, err := publishAll(t.Context(), p, "t", "m", 4, "")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err = p.Publish(ctx, "t", nil)
		require.ErrorIs(t, err, context.DeadlineExceeded, "the window is full")
		require.ErrorIs(t, p.Flush(ctx), context.DeadlineExceeded)
		_, err = p.Wait(ctx, messages[0].id)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		room := make(chan error)
		go func() {
			more, err := batchAll(t.Context(), p, "t", "n", 6, "")
			messages = append(messages, more...)
			room <- err
		}()
		f.receive(4)
		f.send(":0\r\n")
		f.receive(1)
		f.send(strings.Repeat(":0\r\n", 4))
		f.receive(4)
		f.send(strings.Repeat(":0\r\n", 4))
		f.receive(1)
		require.NoError(t, <-room)
		f.send(":0\r\n")
		require.NoError(t, p.Close())
		acked, _ := tally(t, p, "t", messages)
		assert.Len(t, acked, 10)
		f.close()
	})
}

// Small messages cannot starve a large one. The server takes a millisecond for each, so something is always in flight.
func TestALargeMessageAmongSmallOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := pipe(t, false)
		o := patient
		o.Window, o.WindowBytes = 8, 1000
		p := startPublisher([]*conn{c}, Options{}, o)
		large := make([]byte, 2000)
		var server, tasks sync.WaitGroup
		server.Go(func() { lazy(f, 100, len(large)) })
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 {
			tasks.Go(func() {
				_, err := publishAll(ctx, p, "t", "m", 10_000, "")
				assert.ErrorIs(t, err, context.Canceled, "all of them were faster")
			})
		}
		synctest.Wait()
		brief, end := context.WithTimeout(ctx, time.Millisecond)
		_, err := p.Publish(brief, "t", large)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		end()
		for range 2 { // the second one shows that the reservation of the first is gone
			_, err = p.Publish(ctx, "t", large)
			require.NoError(t, err)
			_, err = p.Publish(ctx, "t", nil)
			require.NoError(t, err)
		}
		cancel()
		tasks.Wait()
		require.NoError(t, p.Close())
		server.Wait()
	})
}

// lazy acknowledges one message each millisecond.
func lazy(f *serverEnd, window, largest int) {
	in := newReplyReader(f, largest)
	due := make(chan struct{}, window)
	var answers sync.WaitGroup
	answers.Go(func() {
		for range due {
			time.Sleep(time.Millisecond) //nolint:forbidigo // the clock is the bubble's
			_, _ = io.WriteString(f.Conn, ":0\r\n")
		}
	})
	for {
		if _, err := in.read(); err != nil {
			break
		}
		due <- struct{}{}
	}
	close(due)
	answers.Wait()
	_ = f.Close()
}

func TestBacklogStopsAPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := pipe(t, false)
		o := patient
		o.Window = 4
		p := startPublisher([]*conn{c}, Options{}, o)
		messages, err := publishAll(t.Context(), p, "t", "m", 4, "")
		require.NoError(t, err)
		f.receive(4)
		f.send(strings.Repeat("-NOPERM not here\r\n", 4))
		var refusal *Error
		require.ErrorAs(t, p.Flush(t.Context()), &refusal)
		_, err = p.Publish(t.Context(), "t", nil)
		require.ErrorIs(t, err, ErrBacklog)
		require.ErrorAs(t, err, &refusal)
		_, err = p.Wait(t.Context(), messages[0].id)
		assert.Equal(t, &Error{Code: CodeNoPerm, Text: "not here"}, err)
		assert.Len(t, p.Unacked(), 4)

		require.NoError(t, p.Flush(t.Context()))
		_, err = p.Publish(t.Context(), "t", nil)
		require.NoError(t, err)
		f.receive(1)
		f.send(":0\r\n")
		require.NoError(t, p.Close())
		f.close()
	})
}

func TestWaitForWhatWasNeverPublished(t *testing.T) {
	c, f := pipe(t, false)
	p := startPublisher([]*conn{c}, Options{}, patient)
	for _, id := range []MessageID{0, newMessageID(0, 1), newMessageID(1, 1), ^MessageID(0)} {
		_, err := p.Wait(t.Context(), id)
		require.ErrorIs(t, err, ErrInvalidOption, "%x", id)
	}
	require.NoError(t, p.Close())
	require.NoError(t, p.Close(), "a second time")
	_, err := p.Publish(t.Context(), "t", nil)
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, f.Close())
}
