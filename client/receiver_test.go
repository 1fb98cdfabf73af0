package client

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzEvents feeds any bytes to a subscription and a publisher. Each parses them or ends the connection, and all
// messages match a subscribed name.
func FuzzEvents(f *testing.F) {
	for _, text := range []string{
		">3\r\n+message\r\n+a\r\n+hi\r\n", ">5\r\n+message\r\n+a\r\n+hi\r\n:2\r\n:1\r\n",
		">6\r\n+pmessage\r\n+b*\r\n+bb\r\n+hi\r\n:9\r\n:3\r\n>3\r\n+missed\r\n+b*\r\n:3\r\n",
		"*2\r\n+pong\r\n$0\r\n\r\n", "%2\r\n+epoch\r\n+ee\r\n+sequence\r\n:-5\r\n", "%1\r\n*0\r\n_\r\n",
		">1\r\n+message\r\n", ">3\r\n+missed\r\n_\r\n:9223372036854775807\r\n", ">1\r\n*1\r\n_\r\n", ">3\r\n+closing\r\n_\r\n_\r\n",
		">5\r\n+message\r\n+a\r\n*0\r\n:9223372036854775807\r\n:-9223372036854775808\r\n", "*2\r\n:1\r\n:-1\r\n", "-\r\n", "+PONG\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := &Subscription{}
		s.receiver.subscription = s
		c := &conn{replies: newReplyReader(bytes.NewReader(text), 1<<10), epoch: "e", lastSeq: 1, hasSeq: true}
		s.receiver.reset(c)
		s.receiver.addNames([]Name{Topic("a"), Pattern("b*")})
		for {
			r, err := c.replies.read()
			if err != nil {
				break
			}
			_, _ = parseAck(&r) // must not panic
			if _, err := s.receiver.handle(&r); err != nil {
				break
			}
		}
		for _, e := range s.receiver.ready {
			if m, ok := e.(*Message); ok {
				require.True(t, m.Topic == "a" && m.Pattern == "" || m.Pattern == "b*")
			}
		}
		c.noteClosing(&reply{})
	})
}

// Messages before the confirmation are buffered up to a bound, empty ones included.
func TestTooMuchBeforeTheConfirmation(t *testing.T) {
	_, o := serve(t, "> x\n< >3|+message|+a|+|>3|+missed|+a|:1|>3|+message|+a|+last\nhang")
	sock, err := o.Dialer(t.Context(), "", "")
	require.NoError(t, err)
	c := &conn{Conn: sock, replies: newReplyReader(sock, 100)}
	s := &Subscription{options: Options{MaxMessage: 100, DialTimeout: time.Minute}}
	s.receiver = receiver{subscription: s}
	s.receiver.reset(c)
	s.receiver.addNames([]Name{Topic("a")})
	s.receiver.bufferedBytes = maxBufferedBytes - 2*eventBytes
	assert.ErrorContains(t, s.roundTrip(c, appendCommand(nil, "x"), replyConfirmation, 1), "too many messages")
	assert.Len(t, s.receiver.ready, 3)
	require.NoError(t, c.Close())
}
