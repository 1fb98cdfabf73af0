package client

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHandshake(t *testing.T) {
	const unknown = "-ERR unknown command `HELLO`, with args beginning with: `3`, "
	tests := []struct {
		sentence, script string
		options          Options
		version          int
		hasSeq           bool
		epoch            string
		lastSeq          uint64
		notConch         bool
	}{
		{sentence: "RESP3", script: resp3, version: 3},
		{sentence: "a server that is too old", script: resp2, version: 2},
		{
			sentence: "a server that is older still",
			script:   "> HELLO 3\n< " + unknown + "\n> CLIENT SETINFO LIB-NAME conch-go\n< -ERR unknown command",
			version:  2,
		},
		{
			sentence: "a user", options: Options{Username: "desk", Password: "secret"},
			script:  "> HELLO 3 AUTH desk secret\n< %0\n> CLIENT SETINFO LIB-NAME conch-go\n< -NOPERM no",
			version: 3,
		},
		{
			sentence: "a password alone", options: Options{Password: "secret"},
			script:  "> HELLO 3 AUTH default secret\n< %0\n> CLIENT SETINFO LIB-NAME conch-go\n< +OK",
			version: 3,
		},
		{
			sentence: "a password in RESP2", options: Options{Password: "secret"},
			script:  "> HELLO 3 AUTH default secret\n< " + unknown + "\n> AUTH secret\n< +OK\n> CLIENT SETINFO LIB-NAME conch-go\n< +OK",
			version: 2,
		},
		{
			sentence: "a user in RESP2", options: Options{Username: "desk", Password: "secret"},
			script: "> HELLO 3 AUTH desk secret\n< -NOPROTO no\n> AUTH desk secret\n< +OK\n" +
				"> CLIENT SETINFO LIB-NAME conch-go\n< +OK",
			version: 2,
		},
		{
			sentence: "sequence numbers", options: Options{Sequences: true}, script: withSeq("00ff", "7"),
			version: 3, hasSeq: true, epoch: "00ff", lastSeq: 7,
		},
		{
			sentence: "Redis has no sequence numbers", options: Options{Sequences: true}, version: 3, notConch: true,
			script: resp3 + "> CLIENT CAPA seq\n< -ERR unknown subcommand 'CAPA'. Try CLIENT HELP.\n> HELLO\n< %1|+proto|:3",
		},
		{
			sentence: "a server that accepts CLIENT CAPA may have none", options: Options{Sequences: true}, version: 3, notConch: true,
			script: resp3 + "> CLIENT CAPA seq\n< +OK\n> HELLO\n< %1|+proto|:3",
		},
		{
			sentence: "a user without the right to CLIENT CAPA", options: Options{Sequences: true}, version: 3,
			script: resp3 + "> CLIENT CAPA seq\n< -NOPERM no\n> HELLO\n< %1|+proto|:3",
		},
		{
			sentence: "RESP2 has no sequence numbers, and none are requested", options: Options{Sequences: true}, version: 2,
			script: resp2, notConch: true,
		},
		{
			sentence: "a push is no reply", version: 3,
			script: "> HELLO 3\n< >2|+invalidate|_\n< %0\n> CLIENT SETINFO LIB-NAME conch-go\n< +OK",
		},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			_, o := serve(t, test.script)
			o.Username, o.Password, o.Sequences = test.options.Username, test.options.Password, test.options.Sequences
			o, err := o.withDefaults()
			require.NoError(t, err)
			c, err := o.dial(t.Context())
			require.NoError(t, err)
			assert.Equal(t, test.version, c.version)
			assert.Equal(t, test.hasSeq, c.hasSeq)
			assert.Equal(t, test.epoch, c.epoch)
			assert.Equal(t, test.lastSeq, c.lastSeq)
			assert.Equal(t, test.notConch, c.notConch)
			require.NoError(t, c.Close())
		})
	}
}

func TestHandshakeFails(t *testing.T) {
	tests := []struct {
		sentence, script, want string
		is                     error
		code                   Code
		permanent              bool
	}{
		{sentence: "connection refused", is: errRefused, want: "cannot connect to 127.0.0.1:8889: "},
		{sentence: "a password is required", script: "> HELLO 3\n< -NOAUTH authentication required", code: CodeNoAuth, permanent: true},
		{sentence: "it is the wrong one", script: "> HELLO 3\n< -WRONGPASS no", code: CodeWrongPass, permanent: true},
		{sentence: "strangers are not served", script: "> HELLO 3\n< -DENIED by protected mode", code: CodeDenied, permanent: true},
		{sentence: "it is full", script: "> HELLO 3\n< -ERR max number of clients reached", code: CodeErr},
		{sentence: "it loads", script: "> HELLO 3\n< -LOADING", code: "LOADING", want: "handshake with 127.0.0.1:8889: LOADING"},
		{sentence: "it closes", script: "> HELLO 3", want: "handshake with 127.0.0.1:8889: no reply: EOF"},
		{sentence: "it closes within an answer", script: "> HELLO 3\n< %2|+a", want: "unexpected EOF"},
		{sentence: "it is a web server", script: "> HELLO 3\n< HTTP/1.1 400 Bad Request", is: ErrMalformed},
		{sentence: "it closes later", script: "> HELLO 3\n< %0\n> CLIENT SETINFO LIB-NAME conch-go", want: "no reply: EOF"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			_, o := serve(t, test.script)
			if test.script == "" {
				_, o = serve(t)
			}
			_, err := Dial(t.Context(), o)
			require.Error(t, err)
			if test.is != nil {
				assert.ErrorIs(t, err, test.is)
			}
			if serverErr := (*Error)(nil); test.code != "" && assert.ErrorAs(t, err, &serverErr) {
				assert.Equal(t, test.code, serverErr.Code)
			}
			assert.ErrorContains(t, err, test.want)
			assert.Equal(t, test.permanent, isPermanent(err))
		})
	}
}

func TestDialingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, "hang", "hang")
		begin := time.Now()
		_, err := Dial(t.Context(), o)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "no reply within 10s (Options.DialTimeout)")
		assert.Equal(t, 10*time.Second, time.Since(begin))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin = time.Now()
		_, err = Dial(ctx, o)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotContains(t, err.Error(), "DialTimeout")
		assert.Equal(t, time.Second, time.Since(begin))
	})
}

// The first part of a reply is not lost when the rest is late.
func TestPingReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer func() { _ = ours.Close() }()
		pings := 0
		p := &pingReader{Conn: theirs, idle: time.Second, sendPing: func() error { pings++; return nil }}
		r := newReplyReader(p, 100)
		go func() {
			for _, piece := range []string{"$5\r\nhe", "ll", "o\r\n"} {
				time.Sleep(1500 * time.Millisecond) //nolint:forbidigo // the clock is the bubble's
				_, _ = ours.Write([]byte(piece))
			}
		}()
		got, err := r.read()
		require.NoError(t, err)
		assert.Equal(t, "hello", string(got.bytes))
		assert.Equal(t, 3, pings)
		begin := time.Now()
		_, err = r.read()
		assert.ErrorIs(t, err, ErrPingTimeout)
		assert.Equal(t, 2*time.Second, time.Since(begin))
		p.sendPing = func() error { return errRefused }
		_, err = p.Read(make([]byte, 1))
		assert.ErrorIs(t, err, errRefused)
	})
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]Error{"NOPERM no way": {"NOPERM", "no way"}, "LOADING": {"LOADING", ""}, "": {}} {
		err := newError([]byte(text))
		assert.Equal(t, want, *err)
		assert.Equal(t, text, err.Error())
	}
	assert.False(t, isPermanent(errors.New("anything else")))
	assert.True(t, isPermanent(invalidOption("an option")))
}
