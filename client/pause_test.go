package client

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// paused is the socket of a process that is stopped when the first deadline passes. The read then fails with the
// deadline, although data may have arrived meanwhile.
type paused struct {
	net.Conn
	pause time.Duration
}

func (p *paused) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if timedOut(n, err) {
		time.Sleep(p.pause) //nolint:forbidigo // the clock is the bubble's
		p.pause = 0
	}
	return n, err
}

func TestAPauseOfTheProcessIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer func() { _ = ours.Close() }()
		sock := &paused{Conn: theirs}
		p := &pingReader{Conn: sock, idle: time.Second}
		p.sendPing = func() error {
			sock.pause = time.Hour // the process stops after the PING
			go func() {
				time.Sleep(time.Minute) //nolint:forbidigo // as above
				_, _ = ours.Write([]byte("+"))
			}()
			return nil
		}
		got := make([]byte, 1)
		n, err := p.Read(got)
		require.NoError(t, err)
		assert.Equal(t, "+", string(got[:n]))

		p.sendPing = func() error { sock.pause = time.Hour; return nil }
		begun := time.Now()
		_, err = p.Read(got)
		assert.ErrorIs(t, err, ErrPingTimeout)
		assert.Equal(t, time.Hour+3*time.Second, time.Since(begun), "what it missed is given back, and no more than a turn")
	})
}

func TestAPauseOfTheProcessIsNoStall(t *testing.T) {
	for _, test := range []struct {
		sentence, script string
		want             error
	}{
		{"the acknowledgement came meanwhile", "> PUBLISH t m\ngate\n< :1\nhang", nil},
		{"it did not come", "> PUBLISH t m\ngate\nhang", ErrAckTimeout},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, o := serve(t, resp3+test.script)
				o.PingAfter = time.Second
				dial := o.Dialer
				o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
					sock, err := dial(ctx, network, addr)
					return &paused{Conn: sock, pause: time.Hour}, err
				}
				p, err := NewPublisher(t.Context(), o, PublisherOptions{})
				require.NoError(t, err)
				id, err := p.Publish(t.Context(), "t", []byte("m"))
				require.NoError(t, err)
				time.Sleep(time.Minute) //nolint:forbidigo // the clock is the bubble's
				f.openGate()
				_, err = p.Wait(t.Context(), id)
				assert.ErrorIs(t, err, test.want)
				if test.want == nil {
					assert.NoError(t, p.Close())
				} else {
					assert.ErrorIs(t, p.Close(), ErrOutcomeUnknown)
				}
			})
		})
	}
}
