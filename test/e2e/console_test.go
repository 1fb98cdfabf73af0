//go:build e2e

package e2e

import (
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// visit opens a view of the console.
func (b *browser) visit(address, view string) *page {
	b.t.Helper()
	return b.open("http://" + address + "/#/" + view)
}

// texts is an expression: the texts of all elements that a selector finds.
func texts(selector string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(%q)].map((e) => e.textContent.trim().replace(/\s+/g, " "))`, selector)
}

// has is an expression: whether the page shows a text.
func has(text string) string { return fmt.Sprintf(`document.body.innerText.includes(%q)`, text) }

// run runs a statement in the page.
func (p *page) run(statement string) {
	p.t.Helper()
	_, ok := p.evaluate(statement)
	require.True(p.t, ok, statement)
}

// shot keeps a picture of the page, if CONSOLE_SHOTS names a folder, to be looked at.
func (p *page) shot(name string, width, height int, scheme string) {
	p.t.Helper()
	folder := os.Getenv("CONSOLE_SHOTS")
	if folder == "" {
		return
	}
	p.command(p.session, "Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	p.command(p.session, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	var picture struct{ Data string }
	p.command(p.session, "Page.captureScreenshot", map[string]any{"format": "png"}, &picture)
	image, err := base64.StdEncoding.DecodeString(picture.Data)
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(folder+"/"+name+".png", image, 0o600))
}

// startWithUsers starts a server with HTTP and the lines of an ACL file.
func startWithUsers(t *testing.T, lines ...string) *conch {
	t.Helper()
	users := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(users, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return start(t, "", "--http", "127.0.0.1:0", "--aclfile", users)
}

func (p *page) signIn(user, password string) {
	p.t.Helper()
	p.await(`document.querySelectorAll(".signin input").length`, "2")
	p.run(fmt.Sprintf(`{ const { user, password } = document.forms[0].elements; user.value = %q; password.value = %q; document.forms[0].requestSubmit(); }`, user, password))
}

// A person at a terminal and one at the console see each other: what is published at either side comes to the other, the console
// ends the connection of the terminal, and that gets the reason.
func TestTheConsoleAndATerminal(t *testing.T) {
	b := startBrowser(t)
	c := start(t, "", "--http", "127.0.0.1:0")
	address := c.started["http"].(string)
	person := c.telnet()
	person.enter("SUB news")
	person.expect("OK SUB news")

	tail := b.visit(address, "tail/news")
	tail.await(has("live"), "true")
	person.enter("PUB news I'm a message!")
	person.expect("OK PUB news")
	person.expect("UPDATE news I'm a message!")
	tail.await(texts(".tail code"), `["I'm a message!"]`)
	tail.run(`{ const box = document.querySelector(".wide input"); box.value = "from the page"; box.dispatchEvent(new Event("input", { bubbles: true })); }`)
	tail.run(`document.querySelectorAll("form")[1].requestSubmit()`)
	person.expect("UPDATE news from the page")
	tail.await(has("published to 2 subscriptions"), "true")
	tail.shot("tail", 1100, 700, "light")

	topics := b.visit(address, "topics")
	topics.await(texts("tbody a"), `["news"]`)
	topics.shot("topics-phone", 400, 800, "dark")
	topics.close()

	overview := b.visit(address, "")
	overview.await(`document.querySelectorAll(".plot canvas").length`, "6")
	overview.await(texts("figcaption")+`.join("; ")`, `"Messages a second; Bytes a second; Deliveries for each message; `+
		`Latency: a message waits to be sent; an answer over HTTP; Messages that wait, and losses a second; Work of the core"`)
	overview.shot("overview", 1200, 860, "light")
	overview.shot("overview-dark", 1200, 860, "dark")
	overview.close()

	connections := b.visit(address, "connections")
	row := `[...document.querySelectorAll("tbody tr")].find((row) => row.lastElementChild.textContent === "pub")`
	connections.await(row+` !== undefined`, "true")
	connections.shot("connections", 1200, 600, "dark")
	connections.run(row + `.querySelector("button").click()`)
	person.expect("ERR closing connection: an operator has ended it")
	c.stop()
}

// While messages go on, the network between the console and conch is cut and comes back. The page has missed nothing.
func TestTheConsoleMissesNothing(t *testing.T) {
	b := startBrowser(t)
	c := start(t, "", "--http", "127.0.0.1:0")
	wire := startCable(t, c.started["http"].(string))
	p := b.visit(wire.listener.Addr().String(), "tail/news")
	p.await(has("live"), "true")
	publisher := harness.Use(t, c.dial())
	published := 0
	publish := func() {
		for range 50 {
			published++
			publisher.Send("PUB news %d\n", published)
			publisher.Expect("OK PUB news\n")
		}
	}
	for range 3 {
		publish()
		wire.cut()
		publish()
		p.await(has("coming back"), "true")
		wire.mend()
		publish()
		p.await(has("live"), "true")
	}
	p.await(has(fmt.Sprintf("%d received", published)), "true")
	p.await(has("missed"), "false")
	var want []string
	for n := published; n > 0; n-- {
		want = append(want, fmt.Sprint(n))
	}
	p.await(texts(".tail code")+".join()", `"`+strings.Join(want, ",")+`"`)
	c.stop()
}

// Names and payloads that other clients choose are shown, and never run. Marks of direction do not turn what follows.
func TestTheConsoleRunsNothingOfOthers(t *testing.T) {
	b := startBrowser(t)
	c := start(t, "", "--http", "127.0.0.1:0")
	address := c.started["http"].(string)
	const evil = `<img src=x onerror="window.ran=1"><script>window.ran=1</script>` + "\u202e\x1b[31m"
	client := harness.Use(t, c.dial())
	client.Command("HELLO", "3", "SETNAME", `<img/src=x/onerror=ran=1>`)
	_, err := client.Frame()
	require.NoError(t, err)
	client.Command("SUBSCRIBE", evil)
	_, err = client.Frame()
	require.NoError(t, err)
	other := harness.Use(t, c.dial())
	for _, command := range [][]string{
		{"XADD", evil, "1-1", "message", evil}, {"XGROUP", "CREATE", evil, evil, "0"}, {"XREADGROUP", "GROUP", evil, evil, "STREAMS", evil, ">"},
	} {
		other.Command(command...)
		_, err = other.Frame()
		require.NoError(t, err)
	}
	p := b.visit(address, "topics")
	for _, view := range []string{"topics", "connections", "streams", "tail/" + evil, "topics/" + evil, "why/" + evil, "streams/" + evil, "groups"} {
		place, name, _ := strings.Cut(view, "/")
		if place == "groups" {
			p.run(fmt.Sprintf(`location.hash = "#/streams/" + encodeURIComponent(%q) + "/groups/" + encodeURIComponent(%[1]q)`, evil))
			p.await(fmt.Sprintf(`[%s, %s].every((rows) => rows.length === 1 && rows[0].includes("onerror"))`, rows("consumers"), rows("pending entries")), "true")
		} else {
			p.run(fmt.Sprintf(`location.hash = "#/" + %q + (%q && "/" + encodeURIComponent(%[2]q))`, place, name))
		}
		if place == "connections" {
			p.await(has("<img/src=x/onerror=ran=1>"), "true")
		} else if place != "tail" {
			p.await(has(`onerror="window.ran=1"`)+" && "+has(`\u202e\x1b[31m`), "true")
		}
		p.await(`[window.ran === undefined && window.location.hash !== "", document.querySelectorAll("main img, main script").length]`, "[true,0]")
	}
	c.stop()
}

// With a password the console signs in, shows what the user may do and no more, and a session that ends in the middle of a tail
// leads back to signing in.
func TestSigningInToTheConsole(t *testing.T) {
	b := startBrowser(t)
	c := startWithUsers(t, "user default off", "user root on >root ~* &* +@all", "user ann on >pw &news +subscribe +psubscribe +publish +client|kill",
		"user eve on >pw ~* +client|list +xrange +xgroup")
	address := c.started["http"].(string)
	p := b.visit(address, "")
	p.signIn("ann", "guess")
	p.await(has("the user or the password is wrong"), "true")
	p.shot("signin", 800, 600, "light")
	p.signIn("ann", "pw")
	p.await(texts("nav a"), `["Tail"]`)
	got, _ := p.evaluate(`document.cookie`)
	assert.Equal(t, `""`, got, "a script cannot read the session")
	p.run(`location.hash = "#/tail/news"`)
	p.run(`{ const box = document.querySelector("form input"); box.value = "news"; box.dispatchEvent(new Event("input", { bubbles: true })); }`)
	p.run(`document.forms[0].requestSubmit()`)
	p.await(has("live"), "true")
	root := harness.Use(t, c.dial())
	root.Send("AUTH root root\r\nACL SETUSER ann resetpass >other\r\nCLIENT KILL USER ann\r\n")
	root.Expect("+OK\r\n+OK\r\n:1\r\n")
	p.await(`document.querySelectorAll(".signin input").length`, "2")
	p.await(has("the session has ended"), "true")
	p.signIn("root", "root")
	p.await(texts("nav a"), `["Overview","Topics","Tail","Connections","Why","Trace","Streams","Users"]`)
	p.run(`location.hash = "#/users"`)
	p.await(has("nopass")+" || "+has("+@all"), "true")
	p.run(`document.querySelector(".user button").click()`)
	p.signIn("eve", "pw")
	p.await(texts("nav a"), `["Connections","Streams"]`)
	p.run(`location.hash = "#/connections"`)
	p.await(rows("connections")+".length > 0", "true")
	p.await(`[...document.querySelectorAll("button")].some((b) => b.textContent === "disconnect")`, "false")
	p.run(`location.hash = "#/streams"`)
	p.await(texts("h2"), `["Streams"]`)
	p.await(`document.querySelectorAll(".table, .problem").length`, "0") // the list needs another right
	c.stop()
}

// watchFrames has the page note its longest frame, and how far its parts have jumped without a person's doing (cumulative layout shift).
const watchFrames = `window.longest = 0; window.jumped = 0;
	new PerformanceObserver((list) => { for (const e of list.getEntries()) if (!e.hadRecentInput) jumped += e.value; }).observe({ type: "layout-shift", buffered: true });
	{ let last = performance.now(); const frame = (now) => { longest = Math.max(longest, now - last); last = now; requestAnimationFrame(frame); }; requestAnimationFrame(frame); }`

// With 10,000 topics and 5,000 messages a second the page keeps few rows, and draws on. The longest frames are printed, for a page alone and
// for one with a tail of all messages.
func TestTheConsoleWithManyTopics(t *testing.T) {
	const topics, rate, seconds = 10_000, 5_000, 3
	b := startBrowser(t)
	c := start(t, "", "--http", "127.0.0.1:0")
	subscriber := harness.Use(t, c.dial())
	for i := range topics {
		subscriber.Send("SUB topic.%05d\n", i)
	}
	for i := range topics {
		subscriber.Expect(fmt.Sprintf("OK SUB topic.%05d\n", i))
	}
	go func() { _, _ = io.Copy(io.Discard, subscriber) }() // until it is closed
	publisher := harness.Use(t, c.dial())
	published, lines := 0, strings.Builder{}
	load := func() {
		tick := time.NewTicker(100 * time.Millisecond) // a pace, and no wait for anything
		defer tick.Stop()
		for range 10 * seconds {
			for range rate / 10 {
				_, _ = fmt.Fprintf(&lines, "PUB topic.%05d %d\n", published%topics, published)
				published++
			}
			publisher.Send("%s", lines.String())
			lines.Reset()
			for range rate / 10 {
				require.True(t, strings.HasPrefix(publisher.Line(), "OK PUB topic."))
			}
			<-tick.C
		}
	}
	p := b.visit(c.started["http"].(string), "topics")
	p.await(has("1000 of 10000"), "true")
	p.run(watchFrames)
	load()
	p.run(`document.querySelector(".table").scrollTop = 20000`)
	p.await(`document.querySelectorAll("tbody tr").length > 10 && document.querySelectorAll("tbody tr").length < 60`, "true")
	longest, _ := p.evaluate(`[Math.round(longest), Math.round(1000 * jumped) / 1000]`)
	t.Logf("topics: longest frame in ms, and layout shift: %s", longest)
	p.typed("Filter", "topic.0999")
	p.await(has("10 of 10"), "true")
	p.close()

	tail := b.visit(c.started["http"].(string), "tail/topic.*")
	tail.await(has("live"), "true")
	tail.run(watchFrames)
	load()
	tail.await(has("15K received"), "true")
	tail.await(`document.querySelectorAll(".tail li").length`, "500")
	longest, _ = tail.evaluate(`[Math.round(longest), Math.round(1000 * jumped) / 1000]`)
	t.Logf("tail: longest frame in ms, and layout shift: %s", longest)
	_ = subscriber.Close()
	c.stop()
}
