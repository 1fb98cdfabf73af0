package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// web is how pages get messages from a server: what its connections do first, and how a message is published.
type web struct {
	arguments func(port string) []string // of the server; nil for those that it has anyway
	// subscribe makes a fresh connection a subscriber of the topic "news".
	subscribe func(sock net.Conn, in *bufio.Reader, host string) error
	// publish is the path and the body that publish a payload, which JSON need not escape.
	publish func(payload string) (path, body string)
}

// The ways of the comparison. All messages are published over HTTP, one in a request, and come as JSON over a WebSocket;
// conch has event streams too. Centrifugo's WebSocket has the same JSON.
var (
	conchEvents     = contestant{name: conchName, server: conchName, web: &web{conchOverHTTP, subscribeEvents, publishToConch}}
	conchWebSocket  = contestant{name: conchName, server: conchName, web: &web{conchOverHTTP, subscribeConch, publishToConch}}
	centrifugo      = contestant{name: "centrifugo", server: "centrifugo", web: &web{nil, subscribeCentrifugo, publishToCentrifugo}}
	eventContest    = []contestant{conchEvents, centrifugo}
	socketContest   = []contestant{conchWebSocket, centrifugo}
	webThroughput   = []figure{deliveries, cpu}
	webLatency      = []figure{p50, p99, cpu}
	webGoals        = []goal{atLeast(1.5)}
	webLatencyGoals = []goal{atMost(p99, 0.8)}
	webMemoryGoals  = []goal{atMost(memory, 0.8)}
)

// webRuns are compared in a section of their own.
var webRuns = []scenario{
	{name: "sse-1000", title: "server-sent events, 1 → 1000", web: true, figures: webThroughput, who: eventContest, own: fanOut, goals: webGoals},
	{name: "ws-1000", title: "WebSocket, JSON, 1 → 1000", web: true, figures: webThroughput, who: socketContest, own: fanOut, goals: webGoals},
	{name: "sse-paced", title: "server-sent events, 50/s, 1 → 1000", web: true, figures: webLatency, who: eventContest, own: pacedFanOut, longer: 3, goals: webLatencyGoals},
	{name: "ws-paced", title: "WebSocket, JSON, 50/s, 1 → 1000", web: true, figures: webLatency, who: socketContest, own: pacedFanOut, longer: 3, goals: webLatencyGoals},
	{name: "sse-idle", title: "server-sent events, memory of 5,000 idle streams", web: true, figures: []figure{memory}, who: eventContest, own: idleStreams, goals: webMemoryGoals},
	{name: "ws-idle", title: "WebSocket, JSON, memory of 5,000 idle streams", web: true, figures: []figure{memory}, who: socketContest, own: idleStreams, goals: webMemoryGoals},
}

const (
	streams       = 1000
	idle          = 5000
	webRate       = 50        // messages a second, where they are paced
	webPublishers = 16        // requests at once, where messages are not paced
	streamsAhead  = 64        // messages that may be on their way, where they are not
	stampMark     = "@@conch" // in front of the time in a payload
	stampHex      = 16
	webPayload    = 64
	webInputBytes = 64 << 10
)

func conchOverHTTP(port string) []string {
	return []string{"--listen", "none", "--http", "127.0.0.1:" + port, "--slow-hard", "64mb", "--slow-soft", "64mb", "--log-level", "warn"}
}

func publishToConch(payload string) (path, body string) { return "/topics/news", payload }

func publishToCentrifugo(payload string) (path, body string) {
	return "/api/publish", `{"channel":"news","data":"` + payload + `"}`
}

// subscribeEvents begins an event stream.
func subscribeEvents(sock net.Conn, in *bufio.Reader, host string) error {
	if _, err := fmt.Fprintf(sock, "GET /topics/news?format=json HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", host); err != nil {
		return err
	}
	return head(in, "200")
}

func subscribeConch(sock net.Conn, in *bufio.Reader, host string) error {
	return overWebSocket(sock, in, host, "/ws", "Sec-WebSocket-Protocol: conch.json\r\n",
		[][2]string{{`{"op":"subscribe","topic":"news"}`, `"subscribed"`}})
}

func subscribeCentrifugo(sock net.Conn, in *bufio.Reader, host string) error {
	return overWebSocket(sock, in, host, "/connection/websocket", "",
		[][2]string{{`{"id":1,"connect":{}}`, `"connect"`}, {`{"id":2,"subscribe":{"channel":"news"}}`, `"subscribe"`}})
}

// overWebSocket opens a WebSocket, and sends requests, each of which has a word in its reply.
func overWebSocket(sock net.Conn, in *bufio.Reader, host, path, headers string, requests [][2]string) error {
	if _, err := fmt.Fprintf(sock, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", path, host, headers); err != nil {
		return err
	}
	if err := head(in, "101"); err != nil {
		return err
	}
	for _, r := range requests {
		text := r[0] // a mask of zeros leaves it as it is
		frame := append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
		if _, err := sock.Write(frame); err != nil {
			return err
		}
		reply := make([]byte, 2)
		if _, err := io.ReadFull(in, reply); err != nil {
			return err
		}
		size := int64(reply[1])
		if size == 126 {
			long := make([]byte, 2)
			if _, err := io.ReadFull(in, long); err != nil {
				return err
			}
			size = int64(long[0])<<8 | int64(long[1])
		}
		body, err := io.ReadAll(io.LimitReader(in, size))
		if err != nil {
			return err
		}
		if !strings.Contains(string(body), r[1]) {
			return fmt.Errorf("%s is answered by %s", text, body)
		}
	}
	return nil
}

// head reads the head of an answer, and requires its status.
func head(in *bufio.Reader, status string) error {
	first, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.Contains(first, " "+status+" ") {
		return errors.New("the answer is " + strings.TrimSpace(first))
	}
	for line := first; line != "\r\n"; {
		if line, err = in.ReadString('\n'); err != nil {
			return err
		}
	}
	return nil
}

// audience is many streams of one server, which read until they are closed.
type audience struct {
	from      time.Time // the origin of the stamps
	received  atomic.Int64
	reading   sync.WaitGroup
	socks     []net.Conn
	record    atomic.Bool // latencies count
	mu        sync.Mutex  // guards what follows
	latencies []time.Duration
	failed    error
	closing   bool
}

// listen opens streams. Sixteen at a time connect.
func listen(p *process, n int) (*audience, error) {
	a := &audience{from: time.Now(), socks: make([]net.Conn, n)}
	errs := make([]error, n)
	places := make(chan struct{}, 16)
	var opening sync.WaitGroup
	for i := range n {
		places <- struct{}{}
		opening.Go(func() {
			defer func() { <-places }()
			errs[i] = a.open(p, i)
		})
	}
	opening.Wait()
	if err := errors.Join(errs...); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (a *audience) open(p *process, i int) error {
	sock, err := net.Dial("tcp", p.Address)
	if err != nil {
		return err
	}
	a.socks[i] = sock
	in := bufio.NewReaderSize(sock, 4<<10)
	_ = sock.SetDeadline(time.Now().Add(patience)) // should it fail, the read does
	if err := p.web.subscribe(sock, in, p.Address); err != nil {
		return err
	}
	_ = sock.SetDeadline(time.Time{})
	a.reading.Go(func() { a.read(io.MultiReader(io.LimitReader(in, int64(in.Buffered())), sock)) })
	return nil
}

// read counts the stamps in what comes, whatever stands around them.
func (a *audience) read(in io.Reader) {
	buffer, kept := make([]byte, 4<<10), 0
	var mine []time.Duration
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.latencies = append(a.latencies, mine...)
	}()
	for {
		n, err := in.Read(buffer[kept:])
		full := kept+n == len(buffer)
		now, rest, found := time.Since(a.from), buffer[:kept+n], int64(0)
		for {
			at := bytes.Index(rest, []byte(stampMark))
			if at < 0 || at+len(stampMark)+stampHex > len(rest) {
				if at < 0 {
					at = max(0, len(rest)-len(stampMark)+1)
				}
				rest = rest[at:]
				break
			}
			stamp := rest[at+len(stampMark):][:stampHex]
			rest = rest[at+len(stampMark)+stampHex:]
			found++
			if a.record.Load() {
				if sent, err := strconv.ParseInt(string(stamp), 16, 64); err == nil {
					mine = append(mine, now-time.Duration(sent))
				}
			}
		}
		kept = copy(buffer, rest)
		a.received.Add(found)
		if full && len(buffer) < webInputBytes {
			buffer = append(buffer, make([]byte, len(buffer))...)
		}
		if err != nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			if !a.closing && a.failed == nil {
				a.failed = fmt.Errorf("a stream ended: %w", err)
			}
			return
		}
	}
}

// close ends the streams, and returns why one ended before.
func (a *audience) close() error {
	a.mu.Lock()
	a.closing = true
	a.mu.Unlock()
	for _, sock := range a.socks {
		if sock != nil {
			_ = sock.Close()
		}
	}
	a.reading.Wait()
	return a.failed
}

// stamped is a payload that was due at a time.
func (a *audience) stamped(due time.Time) string {
	text := fmt.Sprintf("%s%0*x", stampMark, stampHex, int64(due.Sub(a.from)))
	return text + strings.Repeat("x", webPayload-len(text))
}

// post publishes one message.
func (p *process) post(ctx context.Context, client *http.Client, payload string) error {
	path, body := p.web.publish(payload)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.Address+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && (answer.StatusCode != http.StatusOK || bytes.Contains(text, []byte(`"error"`))) {
		err = fmt.Errorf("a publish was answered %s %s", answer.Status, text)
	}
	return err
}

// fanOut publishes as fast as the streams receive, a few messages ahead of them.
func fanOut(ctx context.Context, p *process, duration time.Duration) (sample, error) {
	a, err := listen(p, streams)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: webPublishers}}
	defer client.CloseIdleConnections()
	var posted atomic.Int64
	run := func(d time.Duration) error {
		var posting sync.WaitGroup
		errs := make([]error, webPublishers)
		end := time.Now().Add(d)
		for i := range errs {
			posting.Go(func() {
				for errs[i] == nil && time.Now().Before(end) {
					if posted.Load()*streams-a.received.Load() > streamsAhead*streams {
						time.Sleep(50 * time.Microsecond) // no event says that they have caught up
						continue
					}
					posted.Add(1)
					errs[i] = p.post(ctx, client, a.stamped(time.Now()))
				}
			})
		}
		posting.Wait()
		return errors.Join(errs...)
	}
	if err := run(warmUp(duration)); err != nil {
		return nil, errors.Join(err, a.close())
	}
	before, cpuBefore := a.received.Load(), p.processorTime()
	start := time.Now()
	err = run(duration)
	took, got, used := time.Since(start), a.received.Load()-before, p.processorTime()-cpuBefore
	if err := errors.Join(err, a.close()); err != nil {
		return nil, err
	}
	return sample{deliveries: float64(got) / took.Seconds(), cpu: float64(used.Microseconds()) / float64(got)}, nil
}

// pacedFanOut publishes at a fixed rate. Latency counts from the moment at which each message was due, on all streams.
func pacedFanOut(ctx context.Context, p *process, duration time.Duration) (sample, error) {
	a, err := listen(p, streams)
	if err != nil {
		return nil, err
	}
	client := &http.Client{}
	defer client.CloseIdleConnections()
	ticker := time.NewTicker(time.Second / webRate)
	defer ticker.Stop()
	warm, all := int(warmUp(duration)*webRate/time.Second), int((warmUp(duration)+duration)*webRate/time.Second)
	var cpuBefore time.Duration
	for i := range all {
		if i == warm {
			a.record.Store(true)
			cpuBefore = p.processorTime()
		}
		due := <-ticker.C
		if err := p.post(ctx, client, a.stamped(due)); err != nil {
			return nil, errors.Join(err, a.close())
		}
	}
	for wait := 0; a.received.Load() < int64(all)*streams && wait < 1000; wait++ {
		time.Sleep(10 * time.Millisecond)
	}
	got, used := a.received.Load(), p.processorTime()-cpuBefore
	if err := a.close(); err != nil {
		return nil, err
	}
	if got != int64(all)*streams {
		return nil, fmt.Errorf("%d messages came, and not %d", got, all*streams)
	}
	return sample{
		p50: a.quantile(0.5), p99: a.quantile(0.99), cpu: float64(used.Microseconds()) / float64((all-warm)*streams),
	}, nil
}

// idleStreams is by how much a server grows for each stream that has begun and then gets nothing.
func idleStreams(ctx context.Context, p *process, _ time.Duration) (sample, error) {
	before, err := p.settled(ctx)
	if err != nil {
		return nil, err
	}
	a, err := listen(p, idle)
	if err != nil {
		return nil, err
	}
	after, err := p.settled(ctx)
	if err := errors.Join(err, a.close()); err != nil {
		return nil, err
	}
	return sample{memory: float64(after-before) / idle / 1024}, nil
}

// processorTime is the CPU time that the server has used; 0 if that cannot be read, and then the figure is.
func (p *process) processorTime() time.Duration {
	used, _ := p.Usage()
	return used
}

// quantile of the latencies, in microseconds.
func (a *audience) quantile(q float64) float64 {
	slices.Sort(a.latencies)
	return float64(a.latencies[int(q*float64(len(a.latencies)-1))]) / float64(time.Microsecond)
}
