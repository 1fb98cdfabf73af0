//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// chromium is a headless Chromium, driven over two pipes by the Chrome DevTools protocol: JSON objects, each behind a NUL.
// A library for that has a hundred times the code that these tests need (decision 026).
type chromium struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	pipe   *os.File // below out
	folder string
	log    strings.Builder
	last   int // the id of the last command
}

// theChromium is that of all tests, nil until the first that needs it: a start takes seconds. TestMain ends it.
var theChromium *chromium

func startChromium() (*chromium, error) {
	folder, err := os.MkdirTemp("", "conch-chromium")
	if err != nil {
		return nil, err
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &chromium{in: in, out: bufio.NewReader(out), pipe: out, folder: folder}
	c.cmd = exec.Command("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--user-data-dir="+folder, "--remote-debugging-pipe", "about:blank")
	c.cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4
	c.cmd.Stderr = &c.log
	err = c.cmd.Start()
	_, _ = theirIn.Close(), theirOut.Close() // Chromium has them
	return c, err
}

func (c *chromium) stop() {
	_, _ = io.WriteString(c.in, `{"id":1000000000,"method":"Browser.close"}`+"\x00") // should it fail, the closed pipe ends it
	_ = c.in.Close()
	_ = c.pipe.SetReadDeadline(time.Now().Add(patience)) // on failure the read ends with Chromium
	_, _ = io.Copy(io.Discard, c.out)
	_ = c.cmd.Process.Kill() // mostly it has ended
	_ = c.cmd.Wait()
	_ = os.RemoveAll(c.folder)
}

// browser is a window of a test, with cookies of its own.
type browser struct {
	t *testing.T
	*chromium
	context string
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	needs(t, "chromium")
	if theChromium == nil {
		var err error
		theChromium, err = startChromium()
		require.NoError(t, err)
	}
	b := &browser{t: t, chromium: theChromium}
	var created struct{ BrowserContextID string }
	b.command("", "Target.createBrowserContext", map[string]any{}, &created)
	b.context = created.BrowserContextID
	t.Cleanup(func() {
		if t.Failed() {
			b.stop() // the next test has a new one
			theChromium = nil
			t.Log(b.log.String())
			return
		}
		b.command("", "Target.disposeBrowserContext", map[string]any{"browserContextId": b.context}, nil)
	})
	return b
}

// command sends a command to a session, "" for the browser itself, and reads its result.
func (b *browser) command(session, method string, params any, result any) {
	b.t.Helper()
	b.last++
	text, err := json.Marshal(struct {
		ID      int    `json:"id"`
		Session string `json:"sessionId,omitempty"`
		Method  string `json:"method"`
		Params  any    `json:"params"`
	}{b.last, session, method, params})
	require.NoError(b.t, err)
	_, err = b.in.Write(append(text, 0))
	require.NoError(b.t, err)
	require.NoError(b.t, b.pipe.SetReadDeadline(time.Now().Add(patience))) // a page in an endless loop answers nothing
	for {
		line, err := b.out.ReadBytes(0)
		require.NoError(b.t, err, "Chromium ended")
		var answer struct {
			ID     int
			Error  *struct{ Message string }
			Result json.RawMessage
		}
		require.NoError(b.t, json.Unmarshal(line[:len(line)-1], &answer))
		if answer.ID != b.last {
			continue // an event
		}
		if answer.Error != nil && answer.Error.Message == "Cannot find default execution context" {
			return // the page is being loaded: nothing has a value yet
		}
		require.Nil(b.t, answer.Error, method)
		if result != nil {
			require.NoError(b.t, json.Unmarshal(answer.Result, result))
		}
		return
	}
}

// page is a page of the browser.
type page struct {
	*browser
	target  string
	session string
}

func (b *browser) open(url string) *page {
	b.t.Helper()
	var target struct{ TargetID string }
	b.command("", "Target.createTarget", map[string]any{"url": url, "browserContextId": b.context}, &target)
	p := &page{browser: b, target: target.TargetID}
	var attached struct{ SessionID string }
	b.command("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p.session = attached.SessionID
	p.await(fmt.Sprintf(`document.readyState === "complete" && location.href.startsWith(%q)`, url), "true") // a new page is blank at first
	return p
}

// close ends a page, which may poll otherwise for as long as the test runs.
func (p *page) close() {
	p.t.Helper()
	p.command("", "Target.closeTarget", map[string]any{"targetId": p.target}, nil)
}

// evaluate returns the value of an expression in the page, as encoding/json writes it; ok is false if it throws.
func (p *page) evaluate(expression string) (value string, ok bool) {
	p.t.Helper()
	var outcome struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	p.command(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &outcome)
	return string(must(json.Marshal(outcome.Result.Value))), outcome.ExceptionDetails == nil
}

// await waits until an expression has a value, in JSON.
func (p *page) await(expression, want string) {
	p.t.Helper()
	end, ticker := time.After(patience), time.NewTicker(10*time.Millisecond)
	defer ticker.Stop()
	for {
		got, ok := p.evaluate(expression)
		if ok && got == want {
			return
		}
		select {
		case <-ticker.C:
		case <-end:
			require.Equal(p.t, want, got, expression)
		}
	}
}

// cable is a TCP proxy that the test cuts. What was on its way is lost in both directions.
type cable struct {
	listener net.Listener
	target   string
	work     sync.WaitGroup

	mu    sync.Mutex
	whole bool
	socks map[net.Conn]bool
}

func startCable(t *testing.T, target string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cable{listener: l, target: target, whole: true, socks: make(map[net.Conn]bool)}
	c.work.Go(func() {
		for {
			sock, err := l.Accept()
			if err != nil {
				return
			}
			c.work.Go(func() { c.carry(sock) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); c.cut(); c.work.Wait() })
	return c
}

// carry joins a client to the target, until one of both ends, or the cable is cut.
func (c *cable) carry(sock net.Conn) {
	defer func() { _ = sock.Close() }()
	far, err := net.Dial("tcp", c.target)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	if !c.hold(sock, far) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(sock, far); _ = sock.Close() })
	_, _ = io.Copy(far, sock)
	_ = far.Close()
	back.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.socks, sock)
	delete(c.socks, far)
}

// hold notes two sockets that a cut must close; false if the cable is cut.
func (c *cable) hold(socks ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, sock := range socks {
		c.socks[sock] = true
	}
	return c.whole
}

// cut resets all connections; new ones are closed.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.whole = false
	for sock := range c.socks {
		_ = sock.(*net.TCPConn).SetLinger(0) // a reset: nothing more arrives
		_ = sock.Close()
	}
	clear(c.socks)
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.whole = true
}

// received are test pages: got is all that the page received, in order, reports of losses included.
var received = map[string]string{
	"EventSource": `<script>
		const got = [];
		const events = new EventSource("http://%[1]s/topics/news");
		events.onmessage = (event) => got.push(event.data);
		events.addEventListener("missed", (event) => got.push("missed " + event.data));
		const connected = () => events.readyState === EventSource.OPEN;
	</script>`,
	"WebSocket": `<script>
		const got = [];
		let position, socket, subscribed;
		const connected = () => subscribed;
		function connect() {
			subscribed = false;
			socket = new WebSocket("ws://%[1]s/ws", "conch.json");
			socket.onopen = () => {
				socket.send(JSON.stringify({ op: "subscribe", topic: "news", after: position }));
				socket.send(JSON.stringify({ op: "ping" })); // its answer is a position, also before the first message
			};
			socket.onmessage = ({ data }) => {
				const event = JSON.parse(data);
				switch (event.event) {
				case "message": got.push(event.payload); position = event.epoch + "-" + event.sequence; break;
				case "pong": position ??= event.epoch + "-" + event.sequence; subscribed = true; break;
				case "subscribed": break;
				default: got.push(data);
				}
			};
			socket.onclose = () => setTimeout(connect, 50);
		}
		connect();
	</script>`,
}

// site serves one page, and returns its URL.
func site(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.CloseClientConnections() // a browser keeps some open, and opens some in advance
		s.Close()
	})
	return s
}

// A page receives what is typed into telnet. While messages go on, the network is cut and comes back, again and again: the
// page has each message once, in order.
func TestBrowsersMissNothing(t *testing.T) {
	const cuts, between = 4, 50
	b := startBrowser(t)
	for api, script := range received {
		t.Run(api, func(t *testing.T) {
			var text string
			pages := site(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, text) }))
			c := start(t, "", "--http", "127.0.0.1:0", "--http-origin", pages.URL)
			wire := startCable(t, c.started["http"].(string))
			text = "<!doctype html><meta charset=utf-8>" + fmt.Sprintf(script, wire.listener.Addr())
			p := b.open(pages.URL)
			p.await("connected()", "true")

			person := c.telnet()
			person.enter("PUB news hello from a terminal")
			person.expect("OK PUB news")
			p.await("got", `["hello from a terminal"]`)

			want := []string{"hello from a terminal"}
			publisher := harness.Use(t, c.dial())
			publish := func() {
				for range between {
					want = append(want, fmt.Sprint(len(want)))
					publisher.Send("PUB news %s\n", want[len(want)-1])
					publisher.Expect("OK PUB news\n")
				}
			}
			for range cuts {
				publish()
				wire.cut()
				publish()
				p.await("connected()", "false")
				wire.mend()
				publish() // while the page comes back
				p.await("connected()", "true")
			}
			all, err := json.Marshal(want)
			require.NoError(t, err)
			p.await("JSON.stringify(got)", string(must(json.Marshal(string(all)))))
			c.stop()
		})
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// expect requires the next line of a program.
func (p *program) expect(line string) {
	p.t.Helper()
	require.Equal(p.t, line, strings.TrimSuffix(p.line(), "\r\n"))
}

// Two pages of examples/chat, and a telnet, talk to each other.
func TestTheChat(t *testing.T) {
	b := startBrowser(t)
	pages := site(t, http.FileServer(http.Dir("../../examples/chat")))
	c := start(t, "", "--http", "127.0.0.1:0", "--http-origin", pages.URL)
	wire := startCable(t, c.started["http"].(string))
	const state, lines = `document.querySelector("#state").textContent`, `[...document.querySelectorAll("#messages li")].map((line) => line.textContent)`
	open := func() *page {
		p := b.open(pages.URL + "/?server=http://" + wire.listener.Addr().String())
		p.await(state, `"connected"`)
		return p
	}
	ann, person := open(), c.telnet()
	person.enter("SUB chat")
	person.expect("OK SUB chat")
	say := func(p *page, name, text string) {
		_, ok := p.evaluate(fmt.Sprintf(`{ const { name, text } = document.forms[0].elements; name.value = %q; text.value = %q; document.forms[0].requestSubmit(); }`, name, text))
		require.True(t, ok)
	}
	say(ann, "ann", "hi <b>there</b>")
	ann.await(lines, `["ann: hi \u003cb\u003ethere\u003c/b\u003e"]`)
	person.expect(`UPDATE chat {"name":"ann","text":"hi <b>there</b>"}`)
	person.enter("PUB chat hello from telnet")
	person.expect("OK PUB chat")
	person.expect("UPDATE chat hello from telnet")

	bob := open() // the last messages come first
	const so = `"ann: hi \u003cb\u003ethere\u003c/b\u003e","hello from telnet"`
	for _, p := range []*page{ann, bob} {
		p.await(lines, "["+so+"]")
	}
	wire.cut()
	ann.await(state, `"connecting again"`)
	say(ann, "ann", "is anybody there?")
	ann.await(state+`.startsWith("not sent: ")`, "true")
	person.enter("PUB chat ann is offline")
	person.expect("OK PUB chat")
	wire.mend()
	for _, p := range []*page{ann, bob} {
		p.await(lines, "["+so+`,"ann is offline"]`)
	}
	c.stop()
}
