//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// Connectors have a view as soon as there are some. The page pauses one and has it go on.
func TestConnectorsInTheConsole(t *testing.T) {
	b := startBrowser(t)
	folder := t.TempDir()
	in, out, config := filepath.Join(folder, "in"), filepath.Join(folder, "out"), filepath.Join(folder, "conch.toml")
	require.NoError(t, os.WriteFile(in, []byte("a\nb\nc\n"), 0o600))
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
[[source]]
name = "lines-in"
from = "file://%s"
topic = "lines"

[[sink]]
name = "lines-out"
topic = "lines"
to = "file://%s"
`, in, out), 0o600))
	c := start(t, "", "--http", "127.0.0.1:0", "--config", config, "--enable-connect-command", "local")
	p := b.visit(c.started["http"].(string), "connectors")
	p.await(texts("h2"), `["Connectors"]`)
	p.await(texts("nav a[aria-current]"), `["Connectors"]`)
	cells := func(name string, first, last int) string {
		return fmt.Sprintf(`[...document.querySelectorAll("tbody tr")].filter((row) => row.cells[0].textContent === %q).map((row) => [...row.cells].slice(%d, %d).map((c) => c.textContent).join(" "))[0]`, name, first, last)
	}
	p.await(cells("lines-in", 2, 4), `"source file"`)
	p.click("pause sink lines-out")
	p.await(cells("lines-out", 4, 5), `"paused"`)
	client := harness.Use(t, c.dial())
	client.Send("PUB lines d\n")
	client.Expect("OK PUB lines\n")
	p.click("resume sink lines-out")
	p.await(cells("lines-out", 4, 5), `"running"`)
	p.shot("connectors", 1100, 500, "light")
	got, _ := p.evaluate(texts("nav a"))
	assert.Contains(t, got, "Connectors")
	p.close()
	c.stop()

	c = start(t, "", "--http", "127.0.0.1:0")
	p = b.visit(c.started["http"].(string), "connectors")
	p.await(texts("h2"), `["Overview"]`)
	c.stop()
}
