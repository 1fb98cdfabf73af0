//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// rows is an expression: the texts of the cells of a table, by its label, joined with blanks; without buttons.
func rows(label string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('.table[aria-label=%q] tbody tr:not(.space)')].map((row) => `+
		`[...row.cells].filter((c) => !c.querySelector("button:not(.link)")).map((c) => c.textContent.trim()).join(" "))`, label)
}

// typed fills the box with a label, as a person does.
func (p *page) typed(label, text string) {
	p.t.Helper()
	p.run(fmt.Sprintf(`{ const box = [...document.querySelectorAll("label")].find((l) => l.textContent.trim().startsWith(%q)).querySelector("input");
		box.value = %q; box.dispatchEvent(new Event("input", { bubbles: true })); }`, label, text))
}

// click presses the button with a text or a label.
func (p *page) click(text string) {
	p.t.Helper()
	button := fmt.Sprintf(`[...document.querySelectorAll("button")].find((b) => !b.disabled && (b.getAttribute("aria-label") ?? b.textContent.trim()) === %q)`, text)
	p.await(button+" !== undefined", "true")
	p.run(button + ".click()")
}

// Streams have lengths, bytes and a range that is read page by page, in both directions. Groups have lag, and pending entries by consumer,
// which the page releases and passes on.
func TestStreamsAndGroupsInTheConsole(t *testing.T) {
	b := startBrowser(t)
	c := start(t, "", "--http", "127.0.0.1:0")
	client := harness.Use(t, c.dial())
	do := func(args ...string) {
		t.Helper()
		client.Command(args...)
		_, err := client.Frame()
		require.NoError(t, err, args)
	}
	for i := range 120 {
		do("XADD", "orders", fmt.Sprintf("%d-1", i+1), "message", fmt.Sprint(i+1))
	}
	do("XGROUP", "CREATE", "orders", "workers", "0")
	do("XREADGROUP", "GROUP", "workers", "ann", "COUNT", "2", "STREAMS", "orders", ">")
	do("XREADGROUP", "GROUP", "workers", "bob", "COUNT", "1", "STREAMS", "orders", ">")
	address := c.started["http"].(string)

	p := b.visit(address, "streams")
	p.await(rows("streams")+`.map((row) => row.replace(/\d+-\d+/, "ID"))`, `["orders 120 3.2 KiB 0 120 1 ID"]`)
	p.run(`document.querySelector("tbody a[aria-label]").click()`)
	p.await(rows("groups"), `["workers 117 3 2 0 3 3-1"]`)
	p.run(`document.querySelector("tbody a").click()`)
	p.await(rows("consumers")+`.map((row) => row.split(" ").slice(0, 2).join(" "))`, `["ann 2","bob 1"]`)
	pending := rows("pending entries") + `.map((row) => row.replace(/ \d+ (ms|s|min|h)\b/, ""))`
	p.await(pending, `["1-1 ann 1","2-1 ann 1","3-1 bob 1"]`)
	p.click("release 1-1")
	p.await(pending, `["1-1 released – 1","2-1 ann 1","3-1 bob 1"]`)
	p.typed("Pass on to", "eve")
	p.click("pass on 2-1")
	p.await(pending, `["1-1 released – 1","2-1 eve 2","3-1 bob 1"]`)
	p.click("eve")
	p.await(pending, `["2-1 eve 2"]`)
	p.shot("group", 1100, 800, "light")

	ids := func(from, to int) string {
		var all []string
		for i := from; i != to; {
			all = append(all, fmt.Sprintf(`"%d-1"`, i))
			if from > to {
				i--
			} else {
				i++
			}
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	p.run(`location.hash = "#/streams/orders"`)
	p.await(texts(".tail .faint"), ids(120, 70))
	p.click("Next")
	p.await(texts(".tail .faint"), ids(70, 20))
	p.click("Next")
	p.await(texts(".tail .faint"), ids(20, 0))
	p.click("Back")
	p.await(texts(".tail .faint"), ids(70, 20))
	p.run(`document.querySelector("input[type=checkbox]").click()`)
	p.await(texts(".tail .faint"), ids(1, 51))
	p.typed("Begin at", "110")
	p.click("Go")
	p.await(texts(".tail .faint"), ids(110, 121))
	c.stop()
}

// What a predicate holds back is counted beside the tail, and a message of the page shows when it came back.
func TestATailWithAPredicate(t *testing.T) {
	b := startBrowser(t)
	c := start(t, "", "--http", "127.0.0.1:0")
	p := b.visit(c.started["http"].(string), "tail")
	p.await(texts("h2"), `["Tail"]`)
	p.typed("Topic", "orders.*")
	p.typed("Where", "price > 100")
	p.click("Listen")
	p.await(has("live"), "true")
	publisher := harness.Use(t, c.dial())
	for i := range 10 {
		publisher.Send("PUB orders.eu {\"price\": %d}\n", 96+i)
		publisher.Expect("OK PUB orders.eu\n")
	}
	p.await(has("5 received, 5 held back by the predicate"), "true")
	p.typed("Topic", "orders.us")
	p.typed("Message", `{"price": 1000}`)
	p.click("Publish")
	p.await(has("published to 1 subscription; here after "), "true")
	p.await(has("6 received, 5 held back by the predicate"), "true")
	c.stop()
}

// A subscriber that does not read is shown while something waits for it, and what it loses as it happens.
func TestLossesInTheConsole(t *testing.T) {
	b := startBrowser(t)
	c := start(t, "", "--http", "127.0.0.1:0", "--slow-hard", "128KiB", "--slow-soft", "64KiB", "--slow-consumer", "drop-oldest")
	slow := harness.Use(t, c.dial())
	slow.Send("SUB news\n")
	slow.Expect("OK SUB news\n")
	p := b.visit(c.started["http"].(string), "")
	p.await(texts(".facts dd")+`[1]`, `"1"`)
	publisher := harness.Use(t, c.dial())
	message := strings.Repeat("x", 60_000)
	for range 200 { // far more than all buffers of the system between them
		publisher.Send("PUB news %s\n", message)
		publisher.Expect("OK PUB news\n")
	}
	p.await(rows("slow subscribers")+`.length`, "1")
	p.await(`/connection \d+ \(default, 127.0.0.1:\d+\) lost \d+: it reads too slowly \(drop-oldest\)/.test(document.querySelector(".short.box").textContent)`, "true")
	p.shot("losses", 1100, 1500, "dark")
	p.click("disconnect 1")
	p.await(has("connection 1 has ended"), "true")
	p.await(rows("slow subscribers")+`.length`, "0")
	p.await(`[...document.querySelectorAll(".endings li")].some((li) => li.textContent.startsWith("killed"))`, "true")
	c.stop()
}
