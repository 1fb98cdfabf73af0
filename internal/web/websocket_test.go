package web_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// webSocket is a client's WebSocket.
type webSocket struct {
	*harness.Conn
	t  testing.TB
	in io.Reader
}

// upgrade opens a WebSocket with a subprotocol, or with none.
func (s *site) upgrade(subprotocol string, headers ...string) *webSocket {
	s.t.Helper()
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP{}}
	if subprotocol != "" {
		d.Protocols = []string{"nonsense", subprotocol}
	}
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	d.Header = ws.HandshakeHeaderHTTP(h)
	at := strings.Replace(s.url, "http", "ws", 1) + "/ws"
	if t := s.client.Transport.(*http.Transport).TLSClientConfig; t != nil {
		d.TLSConfig = &tls.Config{RootCAs: t.RootCAs, MinVersion: tls.VersionTLS12}
	}
	sock, buffered, handshake, err := d.Dial(context.Background(), at)
	require.NoError(s.t, err)
	require.Equal(s.t, subprotocol, handshake.Protocol)
	c := harness.Use(s.t, sock)
	w := &webSocket{c, s.t, c}
	if buffered != nil {
		w.in = io.MultiReader(bytes.NewReader(must(buffered.Peek(buffered.Buffered()))), c)
	}
	return w
}

func must(b []byte, _ error) []byte { return bytes.Clone(b) }

// send sends a text message.
func (w *webSocket) send(text string) { w.frame(ws.NewTextFrame([]byte(text))) }

func (w *webSocket) frame(f ws.Frame) {
	w.t.Helper()
	require.NoError(w.t, ws.WriteFrame(w, ws.MaskFrame(f)))
}

// expect reads text messages.
func (w *webSocket) expect(texts ...string) {
	w.t.Helper()
	for _, want := range texts {
		f := w.read()
		require.Equal(w.t, ws.OpText, f.Header.OpCode, "%q", f.Payload)
		if strings.HasPrefix(want, "{") {
			require.JSONEq(w.t, want, string(f.Payload))
		} else {
			require.Equal(w.t, want, string(f.Payload))
		}
	}
}

// read reads a frame that is no ping.
func (w *webSocket) read() ws.Frame {
	w.t.Helper()
	for {
		if f := w.readAny(); f.Header.OpCode != ws.OpPing {
			return f
		}
	}
}

func (w *webSocket) readAny() ws.Frame {
	w.t.Helper()
	h, err := ws.ReadHeader(w.in)
	require.NoError(w.t, err)
	require.True(w.t, h.Fin)
	payload := make([]byte, h.Length)
	_, err = io.ReadFull(w.in, payload)
	require.NoError(w.t, err)
	return ws.Frame{Header: h, Payload: payload}
}

// expectClose reads up to the close frame, and then the end.
func (w *webSocket) expectClose(code ws.StatusCode, reason string) {
	w.t.Helper()
	f := w.read()
	for f.Header.OpCode != ws.OpClose {
		f = w.read()
	}
	got, text := ws.ParseCloseFrameData(f.Payload)
	assert.Equal(w.t, code, got)
	assert.Contains(w.t, text, reason)
	_, err := io.Copy(io.Discard, w.in)
	assert.NoError(w.t, err, "nothing is lost by a reset")
}

// plainAndTLS runs a test over both.
func plainAndTLS(t *testing.T, o server.Options, test func(t *testing.T, s *site)) {
	t.Run("plain", func(t *testing.T) { test(t, start(t, o, web.Options{})) })
	t.Run("TLS", func(t *testing.T) { test(t, startTLS(t, o)) })
}

func TestLinesOverAWebSocket(t *testing.T) {
	plainAndTLS(t, server.Options{}, func(t *testing.T, s *site) {
		for _, subprotocol := range []string{"", "conch.lines"} {
			w := s.upgrade(subprotocol)
			w.send("SUB news")
			w.expect("OK SUB news")
			c := s.Dial(t)
			c.Command("PUBLISH", "news", "\xffa\nb")
			c.Expect(":1\r\n")
			f := w.read()
			assert.Regexp(t, `^UPDATE #\d+ news \\xffa\\nb$`, string(f.Payload))
			w.send("UNSUB news\nPING")
			w.expect("OK UNSUB news", "+PONG")
			w.frame(ws.NewPingFrame([]byte("x")))
			f = w.read()
			assert.Equal(t, ws.OpPong, f.Header.OpCode)
			assert.Equal(t, "x", string(f.Payload))
			w.send("QUIT")
			w.expect("+OK")
			w.expectClose(1000, "quit")
		}
	})
}

func TestJSONOverAWebSocket(t *testing.T) {
	plainAndTLS(t, server.Options{}, func(_ *testing.T, s *site) {
		w := s.upgrade("conch.json")
		w.send("{\n\"op\": \"subscribe\",\n\"topic\": \"news\", \"id\": 1}")
		w.expect(`{"event":"subscribed","id":1,"name":"news"}`)
		w.send(`{"op":"publish","topic":"news","payload":"hi","id":2}`)
		at := fmt.Sprintf(`"epoch":"%s","sequence":1}`, s.Service().Epoch())
		w.expect(`{"event":"published","id":2,"receivers":1,`+at, `{"event":"message","topic":"news","payload":"hi",`+at)
		w.send(`{"op":"ping"}`)
		w.expect(`{"event":"pong",` + at)
		w.frame(ws.NewCloseFrame(ws.NewCloseFrameBody(4001, "bye")))
		w.expectClose(4001, "")
	})
}

// FuzzStreams checks that any payload and topic come back as they were: as events, in JSON, and in lines as far as those
// can show them.
func FuzzStreams(f *testing.F) {
	for _, payload := range []string{"", "hi", "\x00", "\xff\xfe", "é\u2028\n\r", "\n\n", `"\`, "\ufffd", "\xed\xa0\x80", strings.Repeat("\r\xff", 40_000)} {
		f.Add([]byte(payload), []byte("topic"))
		f.Add([]byte("hi"), []byte("t"+payload[:min(len(payload), 9)]))
	}
	f.Fuzz(func(t *testing.T, payload, topic []byte) {
		if len(topic) == 0 || len(topic) > 1000 || bytes.ContainsAny(topic, " \t\r\n\xff") || len(payload) > 100_000 {
			return
		}
		s := start(t, server.Options{}, web.Options{})
		path := "/events?topic=" + url.QueryEscape(string(topic))
		plain, objects := s.events(path), s.events(path+"&format=json")
		w := s.upgrade("conch.json")
		w.send(`{"op":"subscribe","topic_base64":"` + base64.StdEncoding.EncodeToString(topic) + `"}`)
		w.read()
		text, err := json.Marshal(map[string]any{"op": "publish", "topic_base64": topic, "payload_base64": payload})
		require.NoError(t, err)
		w.send(string(text))
		w.read()
		requireMessage(t, topic, payload, w.read().Payload)

		_, data, _ := strings.Cut(objects.next(), "\n")
		requireMessage(t, topic, payload, []byte(strings.TrimPrefix(data, "data: ")))
		event, base := plain.next(), false
		var lines []string
		for line := range strings.Lines(event) {
			base = base || line == "event: base64\n"
			if line, ok := strings.CutPrefix(line, "data: "); ok {
				lines = append(lines, strings.TrimSuffix(line, "\n"))
			}
		}
		got := []byte(strings.Join(lines, "\n"))
		if base {
			got, err = base64.StdEncoding.DecodeString(string(got))
			require.NoError(t, err)
		}
		require.Equal(t, string(payload), string(got))
	})
}

// requireMessage requires a message in JSON.
func requireMessage(t *testing.T, topic, payload, object []byte) {
	t.Helper()
	var got struct {
		Topic, Payload *string
		TopicBase64    []byte `json:"topic_base64"`
		PayloadBase64  []byte `json:"payload_base64"`
	}
	require.NoError(t, json.Unmarshal(object, &got), "%s", object)
	if got.Topic != nil {
		got.TopicBase64 = []byte(*got.Topic)
	}
	if got.Payload != nil {
		got.PayloadBase64 = []byte(*got.Payload)
	}
	require.Equal(t, string(topic), string(got.TopicBase64))
	require.Equal(t, string(payload), string(got.PayloadBase64))
}

// A WebSocket that breaks the protocol gets the status that says how.
func TestBrokenWebSockets(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	for _, test := range []struct {
		name, subprotocol string
		frame             []byte
		code              ws.StatusCode
		reason            string
	}{
		{"bytes", "", ws.MustCompileFrame(ws.MaskFrame(ws.NewBinaryFrame([]byte("x")))), 1003, "messages are text"},
		{"no UTF-8", "", ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("\xff")))), 1007, "must be UTF-8"},
		{"no mask", "", ws.MustCompileFrame(ws.NewTextFrame([]byte("PING"))), 1002, "masked"},
		{"an announced length", "conch.json", []byte("\x81\xff\x00\x00\x00\x40\x00\x00\x00\x00mask"), 1009, "--max-command"},
		{"a long line", "", ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(bytes.Repeat([]byte("x"), 70_000)))), 1009, "--max-line"},
		{"a reserved opcode", "", []byte("\x83\x80mask"), 1002, "op code"},
		{"bytes that cannot be parsed", "", ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("\"unbalanced")))), 1002, "protocol"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := s.upgrade(test.subprotocol)
			_, err := w.Write(test.frame)
			require.NoError(t, err)
			w.expectClose(test.code, test.reason)
		})
	}
	s.await("a connection is left", func() bool { return s.Service().Counts.Open.Load() == 0 })
}

// Half a frame, and half a request, hold nothing but their connection.
func TestHalfAFrame(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	for _, half := range []string{"", "\x81", "\x81\xfe\x01", "\x81\x85mas", "\x81\x85maskhe", "\x01\x82mask\x00\x00"} {
		w := s.upgrade("")
		_, err := io.WriteString(w, half)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	for _, half := range []string{"GET", "GET /ws HTTP/1.1\r\nHost: localhost\r\n", "GET /topics/a HTTP/1.1\r\n"} {
		sock, err := net.Dial("tcp", s.addr)
		require.NoError(t, err)
		_, err = io.WriteString(sock, half)
		require.NoError(t, err)
		require.NoError(t, sock.Close())
	}
	s.await("a connection is left", func() bool { return s.Service().Counts.Open.Load() == 0 })
}

func TestRefusedUpgrades(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	upgrade := map[string]string{
		"Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	}
	for _, test := range []struct {
		name, value string
		status      int
		detail      string
	}{
		{"Upgrade", "", 426, "this path takes a WebSocket"},
		{"Connection", "close", 426, "this path takes a WebSocket"},
		{"Sec-WebSocket-Version", "8", 426, "the version of the WebSocket protocol is 13"},
		{"Sec-WebSocket-Key", "x", 400, "Sec-WebSocket-Key must be 16 bytes in base64"},
		{"Sec-WebSocket-Protocol", "mqtt", 400, "the subprotocols are conch.lines and conch.json"},
		{"Authorization", "Bearer x", 401, "no user has this token"},
		{"Origin", "https://evil.example", 403, "pages of this origin may not use conch; name it with --http-origin"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var all []option
			for name, value := range upgrade {
				all = append(all, header(name, value))
			}
			a := s.request("GET", "/ws", "", append(all, header(test.name, test.value))...)
			assert.Equal(t, test.detail, s.expectProblem(a, test.status))
			if test.name == "Sec-WebSocket-Version" {
				assert.Equal(t, "13", a.Header.Get("Sec-WebSocket-Version"))
			}
		})
	}
	assert.Equal(t, int64(0), s.Service().Counts.Open.Load())
}

// A browser that cannot set headers signs in by its first message.
func TestAWebSocketAuthenticates(t *testing.T) {
	s := start(t, server.Options{RequirePassword: "secret"}, web.Options{})
	w := s.upgrade("conch.json")
	w.send(`{"op":"subscribe","topic":"news"}`)
	w.expect(`{"event":"error","code":"NOAUTH","error":"Authentication required."}`)
	w.send(`{"op":"auth","password":"wrong"}`)
	w.expect(`{"event":"error","code":"WRONGPASS","error":"invalid username-password pair or user is disabled."}`)
	w.send(`{"op":"auth","password":"secret"}`)
	w.expect(`{"event":"ok"}`)
	w.send(`{"op":"subscribe","topic":"news"}`)
	w.expect(`{"event":"subscribed","name":"news"}`)

	for subprotocol, first := range map[string]string{"conch.json": `{"op":"ping","id":1}`, "conch.lines": "PING"} {
		given := s.upgrade(subprotocol, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("default:secret")))
		given.send(first)
		if subprotocol == "conch.json" {
			given.expect(fmt.Sprintf(`{"event":"pong","id":1,"epoch":"%s","sequence":0}`, s.Service().Epoch()))
		} else {
			given.expect("+PONG")
		}
	}
	lines := s.upgrade("conch.lines")
	lines.send("SUB news")
	lines.expect("NOAUTH authentication required; type: AUTH user password")
	lines.send("AUTH default secret")
	lines.expect("+OK")
}

func TestAWebSocketWithoutAuthentication(t *testing.T) {
	s := start(t, server.Options{RequirePassword: "secret", AuthTimeout: 10 * time.Millisecond}, web.Options{})
	s.upgrade("").expectClose(1008, "unauthenticated: closing connection: no AUTH within 10ms (--auth-timeout)")
}

// A WebSocket that never reads is a slow subscriber: it loses messages by its policy, or the connection.
func TestAWebSocketThatNeverReads(t *testing.T) {
	for _, size := range []int{1000, 100_000} {
		payload, n := strings.Repeat("x", size), 200_000/size
		commands := strings.Repeat(harness.RESP("PUBLISH", "news", payload), n)
		// publish publishes n at a time until a message is lost: how much the kernel takes before is its own affair.
		publish := func(t *testing.T, s *site) (times int) {
			c := s.Dial(t)
			for before := s.Info(t, "messages_dropped"); s.Info(t, "messages_dropped") == before; times += n {
				c.Send("%s", commands)
				for range n {
					c.Expect(":1\r\n")
				}
			}
			return times
		}
		t.Run(fmt.Sprintf("disconnect/%d", size), func(t *testing.T) {
			s := start(t, server.Options{SlowHard: 1 << 20}, web.Options{})
			w := s.upgrade("conch.json")
			w.send(`{"op":"subscribe","topic":"news"}`)
			w.read()
			for c, receivers := s.Dial(t), ":1"; receivers == ":1"; {
				c.Send("%s", commands)
				for range n {
					receivers = c.Line()
				}
			}
			w.expectClose(1008, "slow_hard: closing connection: too slow, over 1048576 bytes pending (--slow-hard)")
		})
		for _, policy := range []outbox.Policy{outbox.DropNewest, outbox.DropOldest} {
			t.Run(fmt.Sprintf("%s/%d", policy, size), func(t *testing.T) {
				for subprotocol, texts := range map[string][3]string{
					"conch.json":  {`{"op":"subscribe","topic":"news"}`, `{"op":"ping"}`, `{"event":"pong",`},
					"conch.lines": {"SUB news", "PING", "+PONG"},
				} {
					s := start(t, server.Options{SlowHard: 1 << 20, SlowConsumer: policy}, web.Options{})
					w := s.upgrade(subprotocol)
					w.send(texts[0])
					w.read()
					times := publish(t, s)
					received, missed := 0, 0
					for received+missed < times {
						text := string(w.read().Payload)
						if strings.Contains(text, payload) {
							received++
							continue
						}
						var count int
						if _, err := fmt.Sscanf(text, "MISSED %d news", &count); err != nil {
							_, err = fmt.Sscanf(text, `{"event":"missed","name":"news","count":%d}`, &count)
							require.NoError(t, err, "%s", text)
						}
						missed += count
					}
					assert.Equal(t, times, received+missed)
					assert.Positive(t, missed)
					w.send(texts[1])
					assert.Contains(t, string(w.read().Payload), texts[2], "no message is left")
					require.NoError(t, w.Close())
				}
			})
		}
	}
}

// A silent WebSocket gets pings, and goes on.
func TestASilentWebSocketGetsPings(t *testing.T) {
	plainAndTLS(t, server.Options{SlowTime: 400 * time.Millisecond}, func(t *testing.T, s *site) {
		s.web.SetHeartbeat(10 * time.Millisecond)
		w := s.upgrade("")
		for range 3 {
			require.Equal(t, ws.OpPing, w.readAny().Header.OpCode)
			w.frame(ws.NewPongFrame(nil))
		}
		w.send("PING")
		require.Contains(t, string(w.read().Payload), "PONG")
		require.NoError(t, w.Close())
	})
}

// A client that sends pings and never reads its pongs makes conch hold no more than replies may be.
func TestPingsWithoutEnd(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	w := s.upgrade("")
	ping := ws.MustCompileFrame(ws.MaskFrame(ws.NewPingFrame(bytes.Repeat([]byte("x"), 125))))
	sock := w.Conn.Conn
	_ = sock.SetWriteDeadline(time.Now().Add(time.Second))
	for range 200_000 { // 26 MB: the kernel takes some of it
		if _, err := sock.Write(ping); err != nil {
			break
		}
	}
	c := s.Dial(t)
	c.Command("CLIENT", "LIST")
	list, err := c.Frame()
	require.NoError(t, err)
	var held int
	for field := range strings.FieldsSeq(string(list)) {
		if n, ok := strings.CutPrefix(field, "omem="); ok {
			var bytes int
			_, err := fmt.Sscan(n, &bytes)
			require.NoError(t, err)
			held = max(held, bytes)
		}
	}
	assert.Less(t, held, 2<<20)
	require.NoError(t, w.Close())
}

// The end of the server is a status of its own.
func TestWebSocketsEndWithTheServer(t *testing.T) {
	s := start(t, server.Options{DrainTimeout: harness.Patience}, web.Options{})
	w := s.upgrade("conch.json")
	w.send(`{"op":"subscribe","topic":"news"}`)
	w.read()
	ended := make(chan struct{})
	go func() { defer close(ended); s.stop() }()
	w.expectClose(1001, "shutdown")
	require.NoError(t, w.Close())
	<-ended
}
