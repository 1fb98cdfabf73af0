package attack

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// onlyConch is why Redis cannot run an attack over HTTP.
const onlyConch = "Redis has no HTTP"

// webAttacks come over HTTP, or are about replays. Point 15.
var webAttacks = []Scenario{
	{Name: "15-streams", Title: "10,000 event streams of one topic open, and get 20 messages", Web: true, ConchOnly: onlyConch, run: manyStreams},
	{Name: "15b-unread-streams", Title: "5,000 event streams do not read 32 MiB each at the cap", Cap: "100MiB", Web: true, ConchOnly: onlyConch, run: unreadStreams},
	{Name: "15c-websockets", Title: "50 WebSockets do not read, 1 flooding publisher", Web: true, ConchOnly: onlyConch, run: unreadWebSockets},
	{Name: "15d-resets", Title: "8 HTTP/2 clients open streams and reset them at once", Web: true, ConchOnly: onlyConch, run: rapidResets},
	{Name: "15e-metrics", Title: "200 clients pipeline GET /metrics and do not read", Cap: "100MiB", Web: true, ConchOnly: onlyConch, run: unreadMetrics},
	{Name: "15f-half", Title: "5,000 half requests: half a header, or 16 KiB of 1 MiB", Cap: "100MiB", Web: true, ConchOnly: onlyConch, run: halfRequests},
	{Name: "15g-replays", Title: "1,000 replays of 32 MiB at once, a quarter with a predicate", Cap: "200MiB", Web: true, ConchOnly: "Redis keeps no messages", run: manyReplays},
	{Name: "15h-users", Title: "ACL SETUSER and DELUSER in the middle of 200 replays", Cap: "200MiB", Web: true, ConchOnly: "Redis keeps no messages", run: usersOfReplays},
	{Name: "15i-entries", Title: "200 clients GET 16 MiB of 1,000 streams and do not read", Cap: "100MiB", Web: true, ConchOnly: onlyConch, run: unreadEntries},
	{Name: "15j-polls", Title: "1,000 long polls on one group share 5,000 entries", Web: true, ConchOnly: onlyConch, run: manyPolls},
	{Name: "15k-acks", Title: "20 clients acknowledge 10,000 entries a request, again and again", Cap: "100MiB", Web: true, ConchOnly: onlyConch, run: manyAcks},
}

// dialWeb connects to the HTTP port, and sends text.
func (t *Target) dialWeb(text string) (*conn, error) {
	c, err := t.dialAddress(t.HTTP)
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(16 << 10) // on failure the kernel buffers more
	}
	return c, c.send(text)
}

// get is a request without a body.
func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n" }

// openStreams opens n event streams of a topic, some at a time. A refusal is no error. It returns how many have begun.
func (t *Target) openStreams(n int, topic string) int {
	const atOnce = 50
	var opened atomic.Int64
	_ = inParallel(atOnce, func(i int) error {
		for range n/atOnce + min(1, max(0, n%atOnce-i)) {
			c, err := t.dialWeb(get("/topics/" + topic))
			if err != nil {
				return err
			}
			for line := ""; !strings.HasPrefix(line, "id: "); {
				if line, err = c.in.ReadString('\n'); err != nil {
					break
				}
			}
			if err == nil {
				opened.Add(1)
			}
		}
		return nil
	})
	return int(opened.Load())
}

func manyStreams(t *Target) error {
	t.begin()
	n := t.openStreams(t.scaled(10_000), "streams")
	t.note("%d opened", n)
	c, err := t.dial()
	if err != nil {
		return err
	}
	for range 20 {
		if err := c.request("PUBLISH", "streams", strings.Repeat("x", 100)); err != nil {
			return err
		}
	}
	return t.roundTrip()
}

// unreadStreams has the server evict most of the streams.
func unreadStreams(t *Target) error {
	n := t.openStreams(t.scaled(5_000), "unread")
	c, err := t.dialReader("", 0)
	if err != nil {
		return err
	}
	t.note("%d opened", n)
	t.begin()
	ctx, stop := t.floodContext()
	defer stop()
	c.writeRepeatedly(ctx, command("PUBLISH", "unread", strings.Repeat("x", 16<<10)), 32*mib)
	return t.roundTrip()
}

func unreadWebSockets(t *Target) error {
	const upgrade = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: conch.json\r\n\r\n"
	const subscribe = `{"op":"subscribe","topic":"flood"}`
	frame := "\x81" + string([]byte{0x80 | byte(len(subscribe))}) + "\x00\x00\x00\x00" + subscribe // a mask of zeros
	for range 50 {
		c, err := t.dialWeb(upgrade)
		if err != nil {
			return err
		}
		for line := ""; line != "\r\n"; {
			if line, err = c.in.ReadString('\n'); err != nil {
				return err
			}
		}
		if err := c.send(frame); err != nil {
			return err
		}
		if _, err := c.in.ReadString('}'); err != nil { // the confirmation
			return err
		}
	}
	c, err := t.dialReader("", 0)
	if err != nil {
		return err
	}
	t.begin()
	ctx, stop := t.floodContext()
	defer stop()
	c.writeRepeatedly(ctx, strings.Repeat(command("PUBLISH", "flood", strings.Repeat("x", 1000)), 64), 1<<40)
	return t.roundTrip()
}

// Types of HTTP/2 frames: RFC 9113, section 6.
const (
	frameHeaders  = 1
	frameReset    = 3
	frameSettings = 4
)

// http2Frame is one frame, of less than 64 KiB.
func http2Frame(kind, flags byte, stream uint32, payload ...byte) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind)) //nolint:gosec // of few bytes
	return string(append(binary.BigEndian.AppendUint32(append(b, flags), stream), payload...))
}

// rapidResets is CVE-2023-44487: a stream that is reset does not count for the streams at a time, and its handler has begun.
func rapidResets(t *Target) error {
	if t.HTTPS == "" {
		t.note("skipped: there is no port for HTTP/2")
		return nil
	}
	const endOfAll, cancel = 0x1 | 0x4, 8 // of stream and headers; the reason of a reset
	const path = "/topics/reset"
	headers := append([]byte{0x82, 0x87, 4, byte(len(path))}, path...) // GET, https, :path
	headers = append(append(headers, 1, 9), "localhost"...)
	var resets, dials atomic.Int64
	t.begin()
	ctx, stop := t.floodContext()
	defer stop()
	_ = inParallel(8, func(int) error {
		for ctx.Err() == nil { // the server ends a connection that goes too far
			sock, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}).DialContext(ctx, "tcp", t.HTTPS) //nolint:gosec // a certificate of its own
			if err != nil {
				return err
			}
			c, err := t.track(sock)
			if err != nil {
				return err
			}
			dials.Add(1)
			c.discardAll()
			err = c.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + http2Frame(frameSettings, 0, 0))
			for stream := uint32(1); err == nil && ctx.Err() == nil; {
				var text strings.Builder
				for range 100 {
					text.WriteString(http2Frame(frameHeaders, endOfAll, stream, headers...) + http2Frame(frameReset, 0, stream, 0, 0, 0, cancel))
					stream += 2
				}
				if err = c.send(text.String()); err == nil {
					resets.Add(100)
				}
			}
			_ = c.Close() // Run closes it as well
		}
		return nil
	})
	t.note("%d resets, %d connections", resets.Load(), dials.Load())
	return t.roundTrip()
}

func unreadMetrics(t *Target) error {
	text := strings.Repeat(get("/metrics"), 100)
	if err := t.flood(200, func() (*conn, error) { return t.dialWeb("") }, text, mib); err != nil {
		return err
	}
	return t.roundTrip()
}

func halfRequests(t *Target) error {
	t.begin()
	body := strings.Repeat("x", 16<<10)
	halves := []string{
		"", "POST /topics/half HTT", "POST /topics/half HTTP/1.1\r\nHost: local",
		"POST /topics/half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048576\r\n\r\n" + body,
		"POST /topics/half HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n" + body,
		"POST /topics/half HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n{\"payload\":\"" + body,
	}
	n := t.scaled(5_000)
	_ = inParallel(50, func(i int) error { // the server may disconnect any of them
		for at := i; at < n; at += 50 {
			if _, err := t.dialWeb(halves[at%len(halves)]); err != nil && t.ctx.Err() != nil {
				return err
			}
		}
		return nil
	})
	wait(t.ctx, t.Flood)
	return t.roundTrip()
}

// keep publishes so many messages of 1 KiB, which the server keeps.
func (t *Target) keep(messages int) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	for range messages / 256 {
		if err := c.sendAndWait(strings.Repeat(command("PUBLISH", "kept", strings.Repeat("x", 1000)), 256), 256); err != nil {
			return err
		}
	}
	return nil
}

func manyReplays(t *Target) error {
	if err := t.keep(t.scaled(32 << 10)); err != nil {
		return err
	}
	t.begin()
	ctx, stop := t.floodContext()
	defer stop()
	_ = inParallel(50, func(i int) error {
		for at := i; at < t.scaled(1000) && ctx.Err() == nil; at += 50 {
			name := "kept FROM 0"
			if at%4 == 0 {
				name = fmt.Sprintf("kept FROM 0 WHERE size > %d", 2000+at)
			}
			if _, err := t.dialReader(command("PSUBSCRIBE", name), 1); err != nil {
				return err
			}
		}
		return nil
	})
	wait(ctx, t.Flood)
	return t.roundTrip()
}

// usersOfReplays takes the rights of those that replay away, again and again.
func usersOfReplays(t *Target) error {
	if err := t.keep(t.scaled(32 << 10)); err != nil {
		return err
	}
	admin, err := t.dial()
	if err != nil {
		return err
	}
	const user, password = "attacked", "pw"
	replay := command("AUTH", user, password) + command("PSUBSCRIBE", "kept FROM 0")
	t.begin()
	ctx, stop := t.floodContext()
	defer stop()
	rounds := 0
	for ; ctx.Err() == nil; rounds++ {
		if err := admin.request("ACL", "SETUSER", user, "reset", "on", ">"+password, "&*", "+@all"); err != nil {
			return err
		}
		var opening sync.WaitGroup
		for range t.scaled(200) {
			opening.Go(func() { _, _ = t.dialReader(replay, 2) }) // its rights may be gone
		}
		opening.Wait()
		last := []string{"ACL", "SETUSER", user, "resetchannels", "&other"}
		if rounds%2 == 0 {
			last = []string{"ACL", "DELUSER", user}
		}
		if err := admin.request(last...); err != nil {
			return err
		}
	}
	t.note("%d rounds", rounds)
	return errors.Join(admin.request("ACL", "DELUSER", user), t.roundTrip())
}

// unreadEntries reads streams over HTTP: all in the one order, or one of them.
func unreadEntries(t *Target) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	const streams = 1000
	text := strings.Repeat("x", 16<<10)
	for i := range streams {
		if err := c.request("XADD", fmt.Sprintf("entries-%d", i%t.scaled(streams)), "*", "message", text); err != nil {
			return err
		}
	}
	t.begin()
	ctx, stop := t.floodContext()
	defer stop()
	paths := []string{"/read?stream=entries-*&count=100000", "/streams/entries-0?count=100000", "/read?stream=*&where=size==0"}
	_ = inParallel(50, func(i int) error { // the server may disconnect any of them
		for at := i; at < 200 && ctx.Err() == nil; at += 50 {
			if _, err := t.dialWeb(get(paths[at%len(paths)])); err != nil {
				return err
			}
		}
		return nil
	})
	wait(ctx, t.Flood)
	return t.roundTrip()
}

// pollsPath is the group of manyPolls and manyAcks.
const pollsPath = "/streams/polls/groups/workers/"

// post is a request with a JSON body, which may be empty.
func post(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// manyPolls has a thousand clients that wait for an entry, and poll again once they have one. Each entry wakes one of them.
func manyPolls(t *Target) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	if err := c.request("XGROUP", "CREATE", "polls", "workers", "$", "MKSTREAM"); err != nil {
		return err
	}
	var open, delivered atomic.Int64
	for i := range t.scaled(1000) {
		poll, err := t.dialWeb("")
		if err != nil {
			return err
		}
		request := post(fmt.Sprintf("%sread?consumer=c%d&count=1&wait=1m", pollsPath, i), "")
		t.readers.Go(func() {
			open.Add(1)
			for err := poll.send(request); err == nil; {
				line := ""
				for ; err == nil && !strings.HasPrefix(line, `{"event"`); line, err = poll.in.ReadString('\n') {
				}
				if err == nil {
					delivered.Add(1)
					_, err = poll.in.ReadString('0') // the end of the chunks: 0, and an empty line
				}
				for n := 0; err == nil && n < 2; n++ {
					_, err = poll.in.ReadString('\n')
				}
				if err == nil {
					err = poll.send(request)
				}
			}
		})
	}
	t.begin()
	for i := range t.scaled(5_000) {
		if err := c.request("XADD", "polls", fmt.Sprintf("%d-1", i+1), "message", "x"); err != nil {
			return err
		}
	}
	t.note("%d polls, %d entries delivered by the end of the appends", open.Load(), delivered.Load())
	return errors.Join(c.request("DEL", "polls"), t.roundTrip())
}

// manyAcks has each request look up ten thousand pending entries on the core.
func manyAcks(t *Target) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	if err := c.request("XGROUP", "CREATE", "polls", "workers", "0", "MKSTREAM"); err != nil {
		return err
	}
	entries := t.scaled(10_000)
	var ids, done strings.Builder
	for i := range entries {
		if err := c.request("XADD", "polls", fmt.Sprintf("%d-1", 2*i+2), "message", "x"); err != nil {
			return err
		}
		fmt.Fprintf(&ids, `,"%d-1"`, 2*i+1) // none of them is pending
		fmt.Fprintf(&done, `,"%d-1"`, 2*i+2)
	}
	if err := c.request("XREADGROUP", "GROUP", "workers", "ann", "COUNT", "10000", "STREAMS", "polls", ">"); err != nil {
		return err
	}
	t.begin()
	ctx, stop := t.floodContext()
	defer stop()
	var requests atomic.Int64
	request := post(pollsPath+"ack", `{"ids":[`+ids.String()[1:]+"]}")
	_ = inParallel(20, func(int) error { // the server may disconnect any of them
		poll, err := t.dialWeb("")
		for err == nil && ctx.Err() == nil {
			if err = poll.send(request); err == nil {
				requests.Add(1)
				line := ""
				for ; err == nil && !strings.HasPrefix(line, `{"acknowledged"`); line, err = poll.in.ReadString('\n') {
				}
			}
		}
		return err
	})
	last, err := t.dialWeb(post(pollsPath+"ack", `{"ids":[`+done.String()[1:]+"]}"))
	if err != nil {
		return err
	}
	line := ""
	for ; err == nil && !strings.HasPrefix(line, `{"acknowledged"`); line, err = last.in.ReadString('\n') {
	}
	t.note("%d requests; the last one: %s", requests.Load(), strings.TrimSpace(line))
	return errors.Join(err, c.request("DEL", "polls"), t.roundTrip())
}
