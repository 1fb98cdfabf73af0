package command

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// fakeConnectors notes what is done to them.
type fakeConnectors struct{ done []string }

func (f *fakeConnectors) List() []Connector {
	return []Connector{
		{Name: "in", Direction: Source, System: "nats", URL: "nats://ann@host", Topic: "t", State: "running", Since: time.Unix(60, 0), Taken: 7, Published: 5, HeldBack: 2},
		{Name: "out", Direction: Sink, System: "nats", State: "waiting", LastError: "gone\r\n-ERR forged", Matched: 3, Sent: 1, Pending: 2},
	}
}

func (f *fakeConnectors) Add(_ context.Context, c NewConnector) error {
	f.done = append(f.done, "add "+string(c.Direction)+" "+c.Name+" "+c.URL+" by "+c.By)
	for _, o := range c.Options {
		f.done = append(f.done, o[0]+"="+o[1])
	}
	if c.Name == "bad" {
		return errors.New("no such system\r\n+OK")
	}
	return nil
}

func (f *fakeConnectors) Pause(_ context.Context, d Direction, name string) error {
	return f.do("pause", d, name)
}

func (f *fakeConnectors) Resume(_ context.Context, d Direction, name string) error {
	return f.do("resume", d, name)
}

func (f *fakeConnectors) Remove(_ context.Context, d Direction, name string) error {
	return f.do("remove", d, name)
}

func (f *fakeConnectors) do(what string, d Direction, name string) error {
	if name == "none" {
		return ErrNoConnector
	}
	f.done = append(f.done, what+" "+string(d)+" "+name)
	return nil
}

// Connectors are added, listed, paused and ended by commands, in lines and over RESP. Text of other systems cannot forge a reply.
func TestConnectorCommands(t *testing.T) {
	s := newService(t, Options{Unprotected: true, ConnectCommand: ConnectYes})
	f := &fakeConnectors{}
	s.SetConnectors(f)
	p := servePipesOf(t, s, 1)[0]
	for _, step := range [][2]string{
		{"SOURCE ADD in nats://host topic t where n>1", "OK SOURCE ADD in"},
		{"SINK ADD bad nats://host topic t", `-ERR no such system\r\n+OK`},
		{"SOURCE PAUSE in", "OK SOURCE PAUSE in"},
		{"SINK RESUME out", "OK SINK RESUME out"},
		{"SINK DEL none", "-ERR SINK DEL: there is none of that name"},
		{"SOURCE LIST", "# name=in direction=source system=nats url=nats://ann@host topic=t state=running since=1970-01-01T00:01:00Z taken=7 published=5 held_back=2"},
		{"PING", "OK SOURCE LIST 1"},
	} {
		p.sends(step[0] + "\r\n")
		assert.Equal(t, step[1], strings.TrimRight(p.line(), "\r\n"), step[0])
	}
	assert.Equal(t, "+PONG", p.line())
	assert.Equal(t, []string{"add source in nats://host by default", "topic=t", "where=n>1", "add sink bad nats://host by default", "topic=t", "pause source in", "resume sink out"}, f.done)
	p.sends("*2\r\n$4\r\nINFO\r\n$10\r\nconnectors\r\n")
	assert.Contains(t, p.reply(), "source_in:system=nats,state=running,restarts=0,taken=7,published=5,repeated=0,held_back=2")
	p.sends("*2\r\n$4\r\nSINK\r\n$4\r\nLIST\r\n")
	assert.Contains(t, p.reply(), `last_error gone`)
}

// A user without all topics adds no connector, and no client of another machine does under local.
func TestConnectorCommandsNeedRights(t *testing.T) {
	s := newService(t, Options{Unprotected: true, ConnectCommand: ConnectYes})
	s.SetConnectors(&fakeConnectors{})
	p := servePipesOf(t, s, 1)[0]
	p.do("ACL SETUSER ann on >pw +@all &orders.* ~*")
	p.do("AUTH ann pw")
	assert.Contains(t, p.do("SOURCE ADD in nats://host topic t"), "-NOPERM a connector acts on all topics")
	local := newService(t, Options{Unprotected: true, ConnectCommand: ConnectLocal})
	local.SetConnectors(&fakeConnectors{})
	assert.Contains(t, servePipesOf(t, local, 1)[0].do("SOURCE PAUSE in"), "-ERR SOURCE PAUSE is for clients of this machine")
}
