//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	"github.com/conchmq/conch/internal/harness"
)

// fill sets a field of the page's first form, as a person who types there.
func (p *page) fill(field int, text string) {
	p.t.Helper()
	p.run(fmt.Sprintf(`{ const box = document.querySelectorAll("main form input")[%d]; box.value = %q; box.dispatchEvent(new Event("input", { bubbles: true })); }`, field, text))
}

// The console shows why nothing arrives at a person who has typed another name than the publisher, and what a predicate holds back.
func TestTheConsoleExplains(t *testing.T) {
	b := startBrowser(t)
	c := start(t, "", "--http", "127.0.0.1:0")
	address := c.started["http"].(string)
	person := c.telnet()
	person.enter("SUB News")
	person.expect("OK SUB News")
	publisher := harness.Use(t, c.dial())
	publish := func(payload string) {
		publisher.Send("PUB news %s\n", payload)
		publisher.Expect("OK PUB news\n")
	}
	publish("hi")

	p := b.visit(address, "why")
	p.await(has("Why is nothing arriving?"), "true")
	p.fill(0, "news")
	p.run(`document.forms[0].requestSubmit()`)
	p.await(has("no subscription covers news")+" && "+has("topic News has 1 subscription: it differs in case, separators or blanks"), "true")
	person.enter("SUB news WHERE price > 100")
	person.expect("OK SUB news WHERE price > 100")
	publish(`{"price": 50}`)
	p.run(`document.forms[0].requestSubmit()`)
	p.await(has("its predicate held back all of 1 message"), "true")
	p.await(`document.querySelectorAll("tbody tr").length`, "1")
	p.shot("why", 1200, 600, "light")
	p.shot("why-phone", 400, 800, "dark")
	p.fill(1, "999999")
	p.run(`document.forms[0].requestSubmit()`)
	p.await(has("no client has the id 999999"), "true")
	c.stop()
}

// The console shows commands as they take effect: those on some topics, or of one user. Markup in them is text.
func TestTheConsoleTraces(t *testing.T) {
	b := startBrowser(t)
	c := start(t, "", "--http", "127.0.0.1:0")
	p := b.visit(c.started["http"].(string), "trace")
	p.await(has("Trace"), "true")
	p.fill(0, `n*`)
	p.fill(1, "default")
	p.run(`document.forms[0].requestSubmit()`)
	p.await(has("live."), "true")
	publisher := harness.Use(t, c.dial())
	for _, payload := range []string{"1", "2", "<b>bold</b>"} {
		publisher.Send("PUB other %s\nPUB news %s\n", payload, payload)
		publisher.Expect("OK PUB other\nOK PUB news\n")
	}
	p.await(texts(".tail code")+`.map((line) => line.replace(/^.*\] /, ""))`, `["\"PUB\" \"news\" \"\u003cb\u003ebold\u003c/b\u003e\"","\"PUB\" \"news\" \"2\"","\"PUB\" \"news\" \"1\""]`)
	p.await(has("3 commands"), "true")
	p.shot("trace", 1200, 600, "dark")
	const burst = 2000 // more than the page keeps
	for range burst {
		publisher.Send("PUB news 1\n")
	}
	publisher.Send("PUB news last\n")
	for range burst + 1 {
		publisher.Expect("OK PUB news\n")
	}
	p.await(has(fmt.Sprintf("%d commands", burst+4)), "true")
	p.await(`document.querySelectorAll(".tail li").length <= 500 && /\d+ not shown/.test(document.body.innerText)`, "true")
	c.stop()
}
