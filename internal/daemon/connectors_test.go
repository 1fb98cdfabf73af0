package daemon

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/harness"
)

const carried = "a connector is connected"

// carrier starts a conch with a source from a channel of another one, and a sink to another channel there, which are durable topics here.
func carrier(t *testing.T, other *process) (p *process, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "conch.toml")
	text := fmt.Sprintf("durable = 'd.*'\n[[source]]\nname = 'in'\nfrom = 'redis://%[1]s?channel=in'\ntopic = 'd.{channel}'\nwhere = 'payload != \"no\"'\n"+
		"[[sink]]\nname = 'out'\ntopic = 'd.*'\nto = 'redis://%[1]s?channel=out.{topic}'\n", other.Address)
	harness.WriteFile(t, file, []byte(text))
	p = start(t, "--config="+file)
	p.Log.Await(t, carried, 2)
	return p, file
}

// The way of a message through both connectors: in from one conch, by a durable topic, out again to a channel there.
func TestConnectorsOfTheFileRun(t *testing.T) {
	other := start(t)
	reader, writer := harness.Use(t, other.Dial()), other.Dial()
	reader.Send("SUB out.d.in\r\n")
	reader.Expect("OK SUB out.d.in\r\n")
	p, _ := carrier(t, other)
	for _, payload := range []string{"one", "no", "two"} {
		other.Request(writer, "PUB in "+payload+"\r\n", "OK PUB in\r\n")
	}
	reader.Expect("UPDATE out.d.in one\r\nUPDATE out.d.in two\r\n")
	p.Request(p.Dial(), "*2\r\n$4\r\nXLEN\r\n$4\r\nd.in\r\n", ":2\r\n")
	p.Request(p.Dial(), "SOURCE LIST\r\n", "# ")
	p.Signals <- syscall.SIGTERM
	assert.NoError(t, p.wait())
	assert.NotContains(t, p.Log.Text(), "have not ended")
}

func TestSIGHUPAppliesTheConnectors(t *testing.T) {
	other := start(t)
	p, file := carrier(t, other)
	harness.WriteFile(t, file, fmt.Appendf(nil, "durable = 'd.*'\n[[sink]]\nname = 'out'\ntopic = 'd.*'\nto = 'redis://%s?channel=new'\n", other.Address))
	p.Signals <- reloadSignal
	p.Log.Await(t, carried, 3)
	reader := harness.Use(t, other.Dial())
	reader.Send("SUB new\r\n")
	reader.Expect("OK SUB new\r\n")
	p.Request(p.Dial(), "PUB d.x hello\r\n", "OK PUB d.x\r\n")
	reader.Expect("UPDATE new hello\r\n")

	harness.WriteFile(t, file, []byte("[[sink]]\nname = 'out'\ntopc = 'x'\n"))
	p.Signals <- reloadSignal
	line := p.Log.Await(t, "the settings cannot be read; those read before stay in force", 1)
	assert.Contains(t, line["error"], file+":3:1: topc")
	p.Request(p.Dial(), "PUB d.x again\r\n", "OK PUB d.x\r\n")
	reader.Expect("UPDATE new again\r\n")
}

// conch starts although the other side is not there, and shows no password.
func TestAnotherSideThatIsNotThere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conch.toml")
	harness.WriteFile(t, file, []byte("[[source]]\nname = 'in'\nfrom = 'redis://u:pa55@"+harness.Unreachable+"?channel=in'\ntopic = 'x'\n"))
	p := start(t, "--config="+file)
	line := p.Log.Await(t, "the connection of a connector has ended", 2)
	assert.Equal(t, "in", line["source"])
	p.Request(p.Dial(), "PING\n", "+PONG\r\n")
	p.Signals <- syscall.SIGTERM
	assert.NoError(t, p.wait())
	assert.NotContains(t, p.Log.Text(), "pa55")
}
