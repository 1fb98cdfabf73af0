package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/server"
)

// Whatever happens to a subscriber, each message that was matched has exactly one end, and all who tell of it tell the
// same: what the client received and was told, CLIENT LIST, INFO, and the log. Each run forces one kind of loss, and
// fails if it did not come to that.
func TestTheAccountBalances(t *testing.T) {
	for _, r := range []struct {
		name     string
		options  server.Options
		greeting string // of the subscriber, before it subscribes
		run      func(a *audit)
	}{
		{"the hard limit", server.Options{SlowHard: 1 << 20}, "", forceHardLimit},
		{"the soft limit", server.Options{SlowSoft: 1 << 10, SlowHard: 1 << 30, SlowTime: time.Second}, "", forceSoftLimit},
		{"drop-oldest inside a shared run, in lines", server.Options{SlowHard: 1 << 20}, "SLOW drop-oldest\n", forceDropInRun},
		{"drop-oldest inside a shared run, in RESP3", server.Options{SlowHard: 1 << 20, SlowConsumer: outbox.DropOldest}, "HELLO 3\r\n", forceDropInRun},
		{"drop-newest, in lines", server.Options{SlowHard: 1 << 20, SlowConsumer: outbox.DropNewest}, "", forceDrop},
		{"drop-newest, in RESP3", server.Options{SlowHard: 1 << 20}, "HELLO 3\r\nCLIENT SLOW drop-newest\r\n", forceDrop},
		{"drop-newest, in RESP2", server.Options{SlowHard: 1 << 20}, "CLIENT SLOW drop-newest\r\n", forceDrop},
		{"drop-oldest, in RESP2", server.Options{SlowHard: 1 << 20}, "CLIENT SLOW drop-oldest\r\n", forceDrop},
		{"the memory cap", server.Options{MaxMemory: 1 << 20, SlowHard: 1 << 30}, "", forceMemoryCap},
		{"killed in mid-frame", server.Options{DrainTimeout: 50 * time.Millisecond}, "HELLO 3\r\n", forceKillInFrame},
		{"reset in mid-frame", server.Options{}, "", forceReset},
		{"closed in mid-frame", server.Options{}, "HELLO 2\r\n", forceClose},
	} {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			log := new(logBook)
			r.options.Log = zerolog.New(log).Level(zerolog.DebugLevel) // at trace there are no runs
			a := &audit{t: t, server: harness.StartOn(t, shallow(t), r.options), log: log}
			a.sub = a.server.Dial(t)
			require.NoError(t, a.sub.Conn.(*net.TCPConn).SetReadBuffer(64<<10))
			a.id = id(t, a.sub)
			a.subscribe(r.greeting)
			a.pub = a.server.Dial(t)
			r.run(a)
			a.close()
		})
	}
}

// shallow is a listener whose connections keep little in the kernel: what a subscriber reads makes room soon, so that it
// does not seem to stand still where the machine is slow.
func shallow(t *testing.T) net.Listener {
	return listenBroken(t, math.MaxInt32, func(c net.Conn) (net.Conn, error) {
		if c == nil {
			return nil, nil
		}
		return c, c.(*net.TCPConn).SetWriteBuffer(64 << 10)
	})
}

// audit is one run: a publisher, and a subscriber whose account is checked.
type audit struct {
	t         *testing.T
	server    *harness.Server
	log       *logBook
	sub, pub  *harness.Conn
	id        string
	lines     bool
	published int // to the subscriber; INFO may know of others
	others    int // deliveries to others

	received, told int
	last           int  // the number of the last message received
	inside         bool // a run was cut in its middle
	partial        []byte
	silent         bool // its protocol has no word for a loss
}

func (a *audit) subscribe(greeting string) {
	a.lines = greeting == "" || strings.HasPrefix(greeting, "SLOW")
	a.silent = !a.lines && !strings.HasPrefix(greeting, "HELLO 3")
	a.sub.Send("%s", greeting)
	for range strings.Count(greeting, "\n") {
		_, err := a.sub.Frame()
		require.NoError(a.t, err)
	}
	if a.lines {
		a.sub.Send("SUB a\n")
	} else {
		a.sub.Command("SUBSCRIBE", "a")
	}
	_, err := a.sub.Frame()
	require.NoError(a.t, err)
}

const runLength = 64

// publish sends a run of numbered messages, as one write, and returns how many the subscriber is told to get.
func (a *audit) publish(n, size int) (receivers int) {
	var b strings.Builder
	for i := range n {
		b.WriteString(harness.RESP("PUBLISH", "a", fmt.Sprintf("%07d", a.published+i+1)+strings.Repeat("x", size)))
	}
	a.pub.Send("%s", b.String())
	for range n {
		reply := a.pub.Line()
		receivers, _ = strconv.Atoi(reply[1:])
		if receivers > 0 {
			a.published++
			a.others += receivers - 1
		}
	}
	return receivers
}

// read takes one frame and notes what it says; false at the end.
func (a *audit) read() bool {
	frame, err := a.sub.Frame()
	if err != nil {
		a.partial = frame
		return false
	}
	switch text := string(frame); {
	case strings.HasPrefix(text, "MISSED "):
		fields := strings.Fields(text)
		require.Equal(a.t, "a", fields[2])
		n, err := strconv.Atoi(fields[1])
		require.NoError(a.t, err)
		a.missed(n)
	case strings.HasPrefix(text, ">3\r\n$6\r\nmissed\r\n$1\r\na\r\n:"):
		n, err := strconv.Atoi(strings.TrimSpace(text[strings.LastIndexByte(text, ':')+1:]))
		require.NoError(a.t, err)
		a.missed(n)
	case strings.HasPrefix(text, "UPDATE a "):
		a.message(text[len("UPDATE a "):])
	case strings.Contains(text[:min(len(text), 30)], "message"):
		payload := text[:len(text)-2]
		a.message(payload[strings.LastIndexByte(payload, '\n')+1:])
	default: // the close notice
	}
	return true
}

func (a *audit) missed(n int) {
	a.told += n
	a.last += n
}

// message holds that a message comes in its place: what is missing before it has been told.
func (a *audit) message(payload string) {
	n, err := strconv.Atoi(payload[:7])
	require.NoError(a.t, err)
	if a.told > 0 && a.last%runLength != 0 {
		a.inside = true
	}
	if !a.silent {
		require.Equal(a.t, a.last+1, n, "a message is not in its place")
	}
	require.Greater(a.t, n, a.last)
	a.last = n
	a.received++
}

func (a *audit) listed() string {
	c := a.server.Dial(a.t)
	defer func() { _ = c.Close() }()
	return ask(a.t, c, "CLIENT", "LIST", "ID", a.id)
}

// field is a number in the subscriber's line of CLIENT LIST.
func (a *audit) field(name string) int {
	_, after, ok := strings.Cut(a.listed(), " "+name+"=")
	if !ok {
		return -1
	}
	n, err := strconv.Atoi(strings.Fields(after)[0])
	require.NoError(a.t, err)
	return n
}

// close ends the subscriber's connection, if it has not ended, and holds all accounts against each other.
func (a *audit) close() {
	t := a.t
	_ = a.sub.Close()
	harness.Eventually(t, func() bool { return a.log.ended(a.id) != nil }, "its end is not logged")
	end := a.log.ended(a.id)
	t.Logf("published %d, received %d, told %d; %v", a.published, a.received, a.told, end)
	number := func(name string) int { return int(end[name].(float64)) }
	assert.Equal(t, a.published, number("matched"), "what publishers were told")
	assert.Equal(t, number("matched"), number("delivered")+number("dropped")+number("undelivered"))
	if !a.silent {
		assert.Equal(t, number("dropped"), a.told, "what the subscriber was told")
	}
	harness.Eventually(t, func() bool {
		return a.server.Info(t, "messages_delivered") == number("delivered")+a.others
	}, "INFO does not count the same deliveries")
	assert.Equal(t, number("matched")+a.others, a.server.Info(t, "messages_matched"))
	assert.Equal(t, number("dropped"), a.server.Info(t, "messages_dropped"))
	assert.Equal(t, number("undelivered"), a.server.Info(t, "messages_undelivered"))
}

// logBook keeps the lines of a log.
type logBook struct {
	mu    sync.Mutex
	lines [][]byte
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, bytes.Clone(p))
	return len(p), nil
}

// ended is what the log says about a connection's end, nil before that.
func (l *logBook) ended(id string) map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		var fields map[string]any
		if json.Unmarshal(line, &fields) == nil && fields["message"] == "disconnected" && fmt.Sprint(fields["conn"]) == id {
			return fields
		}
	}
	return nil
}

// readAll reads to the end, and holds that everything that the kernel took has arrived.
func (a *audit) readAll() {
	for a.read() {
	}
	harness.Eventually(a.t, func() bool { return a.log.ended(a.id) != nil }, "its end is not logged")
	end := a.log.ended(a.id)
	assert.EqualValues(a.t, end["delivered"], a.received)
}

func forceHardLimit(a *audit) {
	for a.publish(1, 10_000) > 0 {
	}
	a.readAll()
	assert.Equal(a.t, "slow_hard", a.log.ended(a.id)["reason"])
	assert.Positive(a.t, a.log.ended(a.id)["undelivered"])
}

func forceMemoryCap(a *audit) {
	for a.publish(1, 10_000) > 0 {
	}
	a.readAll()
	assert.Equal(a.t, "memory", a.log.ended(a.id)["reason"])
	assert.Positive(a.t, a.log.ended(a.id)["undelivered"])
}

// It reads half of what comes: it stands still only if the whole machine does.
func forceSoftLimit(a *audit) {
	for a.log.ended(a.id) == nil {
		a.publish(2, 10_000)
		if !a.read() {
			break
		}
	}
	a.readAll()
	require.Contains(a.t, []any{"slow_soft", "stalled"}, a.log.ended(a.id)["reason"], "on a busy machine it may read nothing for slow-time")
	assert.Positive(a.t, a.log.ended(a.id)["undelivered"])
}

// catchUp reads until nothing waits any more.
func (a *audit) catchUp() {
	for a.received+a.told < a.published {
		require.True(a.t, a.read())
	}
}

// A second subscriber reads all of the same runs, and gets every byte.
func forceDropInRun(a *audit) {
	other := a.server.Dial(a.t)
	other.Command("SUBSCRIBE", "a")
	_, err := other.Frame()
	require.NoError(a.t, err)
	seen := 0
	for round := 0; !a.inside; round++ {
		require.Less(a.t, round, 30, "no run was cut in its middle")
		for before := a.field("dropped"); a.field("dropped") == before; {
			for range 50 {
				a.publish(runLength, 93)
				for range runLength {
					frame, err := other.Frame()
					require.NoError(a.t, err)
					seen++
					require.Equal(a.t, harness.RESP("message", "a", fmt.Sprintf("%07d", seen)+strings.Repeat("x", 93)), string(frame))
				}
			}
		}
		a.catchUp()
	}
	assert.Positive(a.t, a.told)
}

func forceDrop(a *audit) {
	for a.field("dropped") <= 0 {
		for range 50 {
			a.publish(runLength, 93)
		}
	}
	if a.silent {
		a.told = a.field("dropped")
	}
	a.catchUp()
	assert.Positive(a.t, a.told)
}

// half has the subscriber get three small messages and a part of a large one.
func (a *audit) half() {
	const large = 14 << 20
	a.publish(3, 10)
	a.publish(1, large)
	for range 3 {
		require.True(a.t, a.read())
	}
	harness.Eventually(a.t, func() bool {
		waiting := a.field("omem")
		return waiting > 0 && waiting < large
	}, "the frame is not half written")
	assert.Equal(a.t, 3, a.field("delivered"))
}

func forceKillInFrame(a *audit) {
	a.half()
	a.publish(5, 10) // behind it
	a.pub.Command("CLIENT", "KILL", "ID", a.id)
	a.pub.Expect(":1\r\n")
	harness.Eventually(a.t, func() bool { return a.log.ended(a.id) != nil }, "it does not end")
	a.readAll()
	assert.Equal(a.t, "killed", a.log.ended(a.id)["reason"])
	assert.NotEmpty(a.t, a.partial, "it did not end in mid-frame")
	assert.EqualValues(a.t, 3, a.log.ended(a.id)["delivered"])
	assert.EqualValues(a.t, 6, a.log.ended(a.id)["undelivered"])
}

func forceReset(a *audit) {
	a.half()
	require.NoError(a.t, a.sub.Conn.(*net.TCPConn).SetLinger(0))
	forceEnd(a)
	assert.Contains(a.t, []any{"broken", "eof"}, a.log.ended(a.id)["reason"], "whether reader or writer hears of it first")
}

func forceClose(a *audit) {
	a.half()
	forceEnd(a)
}

// forceEnd closes the subscriber's side while the large message is half written.
func forceEnd(a *audit) {
	require.NoError(a.t, a.sub.Close())
	harness.Eventually(a.t, func() bool { return a.log.ended(a.id) != nil }, "it does not end")
	assert.EqualValues(a.t, 3, a.log.ended(a.id)["delivered"])
	assert.EqualValues(a.t, 1, a.log.ended(a.id)["undelivered"])
}
