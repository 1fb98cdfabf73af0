//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// scheme sets what the page takes for the setting of the machine: light or dark.
func (p *page) scheme(scheme string) {
	p.t.Helper()
	p.command(p.session, "Emulation.setEmulatedMedia", map[string]any{"features": []any{
		map[string]string{"name": "prefers-color-scheme", "value": scheme}, map[string]string{"name": "prefers-reduced-motion", "value": "reduce"},
	}}, nil)
}

// violations runs axe-core over the page: a line for each rule that is broken, with the elements. In the dark, colors alone are new.
const violations = `axe.run({ resultTypes: ["violations"], ...%s }).then((r) => r.violations.map((v) =>
	v.id + ": " + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + " (" + n.failureSummary.replace(/\s+/g, " ") + ")").join("; ")))`

// populate makes something to see in each view.
func populate(t *testing.T, c *conch) {
	t.Helper()
	client := harness.Use(t, c.dial())
	do := func(args ...string) {
		t.Helper()
		client.Command(args...)
		_, err := client.Frame()
		require.NoError(t, err, args)
	}
	do("HELLO", "3", "AUTH", "root", "root", "SETNAME", "billing")
	do("ACL", "TOKEN", "CREATE", "ann", "laptop", "3600")
	for i := range 60 {
		do("XADD", "orders", fmt.Sprintf("%d-1", i+1), "price", fmt.Sprint(i), "region", "eu")
	}
	do("XGROUP", "CREATE", "orders", "workers", "0")
	do("XREADGROUP", "GROUP", "workers", "ann", "COUNT", "7", "STREAMS", "orders", ">")
	do("SUBSCRIBE", "news")
	do("PSUBSCRIBE", `news* WHERE price > 100`)
}

// No view breaks a rule of axe-core, in either scheme of colors, with data in it.
func TestTheConsoleIsAccessible(t *testing.T) {
	axe, err := os.ReadFile("../compat/node/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Skip("axe-core is not installed: test/compat/install")
	}
	b := startBrowser(t)
	c := startWithUsers(t, "user default off", "user root on >root ~* &* +@all", "user ann on >pw &news +subscribe")
	populate(t, c)
	p := b.visit(c.started["http"].(string), "")
	check := func(view string) {
		t.Helper()
		_, ok := p.evaluate("window.axe ? 0 : (" + "() => {" + string(axe) + "})()")
		require.True(t, ok)
		for scheme, options := range map[string]string{"light": `{}`, "dark": `{ runOnly: ["color-contrast"] }`} {
			p.scheme(scheme)
			got, ok := p.evaluate(fmt.Sprintf(violations, options))
			require.True(t, ok, view)
			assert.Equal(t, "[]", got, "%s, %s", view, scheme)
		}
		p.shot(strings.NewReplacer("/", "-", " ", "-").Replace("axe-"+view), 1200, 800, "light")
	}
	p.await(`document.querySelectorAll(".signin input").length`, "2")
	check("signin")
	p.signIn("root", "root")
	p.await(`document.querySelectorAll("nav a").length > 5`, "true")
	links, _ := p.evaluate(`[...document.querySelectorAll("nav a")].map((a) => a.hash.slice(2)).join("\n")`)
	views := strings.Split(strings.Trim(links, `"`), `\n`)
	for _, view := range append(views, "topics/news", "why/news", "tail/news", "streams/orders", "streams/orders/groups", "streams/orders/groups/workers") {
		p.run(fmt.Sprintf(`location.hash = "#/" + %q`, view))
		p.await(fmt.Sprintf(`location.hash === "#/" + %q && document.querySelectorAll("h2").length === 1`, view), "true")
		if strings.HasPrefix(view, "tail") || view == "streams/orders" {
			p.await(`document.querySelectorAll("form").length > 0`, "true")
		} else if view != "" {
			p.await(`[...document.querySelectorAll(".table")].every((t) => t.querySelector("tbody tr"))`, "true")
		}
		check(view)
	}
	c.stop()
}
