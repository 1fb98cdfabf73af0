package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/conchmq/conch/test/bench/servers"
)

// storing is how a server keeps entries on the disk, and how they are appended to it.
type storing struct {
	arguments func(port string) []string
	jetStream bool // else XADD
	claims    bool // XREADGROUP has CLAIM
}

// policy is when a server syncs what it has acknowledged.
type policy struct {
	name   string // of scenarios
	title  string
	storer []contestant // conch first
}

// The two policies of the comparison. NATS' own default syncs every two minutes.
var (
	eachSecond = policy{"second", "a sync each second", []contestant{
		{name: conchName, server: conchName, storing: &storing{arguments: storingConch("1s"), claims: true}},
		{name: "redis", server: "redis", storing: &storing{arguments: storingRedis("everysec")}},
		{name: "nats", server: "nats", storing: &storing{arguments: storingNATS(false), jetStream: true}},
	}}
	always = policy{"always", "synced before the reply", []contestant{
		{name: conchName, server: conchName, storing: &storing{arguments: storingConch("always")}},
		{name: "redis", server: "redis", storing: &storing{arguments: storingRedis("always")}},
		{name: "nats", server: "nats", storing: &storing{arguments: storingNATS(true), jetStream: true}},
	}}
)

func storingConch(sync string) func(port string) []string {
	return func(port string) []string {
		return []string{"127.0.0.1:" + port, "--dir", "data", "--fsync", sync, "--log-level", "warn"}
	}
}

func storingRedis(sync string) func(port string) []string {
	return func(port string) []string {
		return []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "yes", "--appendfsync", sync}
	}
}

func storingNATS(always bool) func(port string) []string {
	return func(port string) []string {
		arguments := []string{"-a", "127.0.0.1", "-p", port}
		if always {
			return append(arguments, "-c", servers.SyncingNATS)
		}
		return append(arguments, "-js", "-sd", "jetstream")
	}
}

const manyStreams = 1000

// streamRuns are compared in a section of their own.
func streamRuns() (all []scenario) {
	for _, p := range []policy{eachSecond, always} {
		for _, size := range []int{100, 1024} {
			for _, count := range []int{1, manyStreams} {
				all = append(all, appendRun(p, size, count))
			}
		}
	}
	all = append(all, scenario{ // without NATS, which syncs message by message, and does not reach the rate
		name: "append-paced", title: "5,000 appends/s of 100 B, " + always.title, streams: true, who: always.storer[:2], longer: 3,
		figures: []figure{p50, p99, late, appendCPU}, own: pacedAppends, goals: []goal{{p99, "redis", 1.2, false}},
	})
	for _, verb := range []string{"XRANGE", "XREAD"} {
		all = append(all, scenario{
			name: strings.ToLower(verb), title: verb + " COUNT 1000 from the start, 100 B", streams: true, who: eachSecond.storer[:2],
			figures: []figure{entries, entryCPU}, own: readingFromStart(verb), goals: []goal{{entryCPU, "redis", 0.5, false}},
		})
	}
	return all
}

func appendRun(p policy, size, count int) scenario {
	name, title := fmt.Sprintf("append-%d-%d-%s", size, count, p.name), fmt.Sprintf("%d B to one stream, %s", size, p.title)
	if count > 1 {
		title = fmt.Sprintf("%d B to %d streams, %s", size, count, p.title)
	}
	return scenario{
		name: name, title: title, streams: true, who: p.storer, figures: []figure{appends, appendCPU},
		own: appending(size, count), goals: []goal{{appends, bestPeer, 2, true}},
	}
}

// appender is a connection that appends. Each append is acknowledged by two lines, in order.
type appender struct {
	sock     net.Conn
	inbox    string // of JetStream's acknowledgements; empty: XADD
	partial  byte   // last byte that was read
	newlines int    // of an acknowledgement that is not whole
}

// newAppender connects, and has JetStream keep what is appended: one stream of it, with a subject for each stream here.
func newAppender(p *process, number int) (*appender, error) {
	sock, err := net.DialTimeout("tcp", p.Address, patience)
	if err != nil {
		return nil, err
	}
	a := &appender{sock: sock, partial: '\n'}
	if !p.storing.jetStream {
		return a, nil
	}
	a.inbox = fmt.Sprintf("_INBOX.%d", number)
	const stream = `{"name":"S","subjects":["s.*"],"storage":"file","retention":"limits","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"num_replicas":1}`
	greeting := fmt.Sprintf("CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB %s 1\r\nPUB $JS.API.STREAM.CREATE.S %s %d\r\n%s\r\n",
		a.inbox, a.inbox, len(stream), stream)
	if _, err := a.sock.Write([]byte(greeting)); err != nil {
		return nil, errors.Join(err, sock.Close())
	}
	return a, a.awaitStream()
}

// newAppenders connects all that a load has. The caller closes those that are connected, with an error too.
func newAppenders(p *process) (all []*appender, err error) {
	for i := range appenders {
		a, err := newAppender(p, i)
		if a != nil {
			all = append(all, a)
		}
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func closeAppenders(all []*appender) {
	for _, a := range all {
		_ = a.sock.Close() // all that matters of it is that the server sees it
	}
}

// awaitStream reads the greeting of NATS and what it answers to the creation of the stream, another connection's perhaps.
func (a *appender) awaitStream() error {
	if err := a.sock.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	var text strings.Builder
	b := make([]byte, 64<<10)
	for !strings.Contains(text.String(), "stream_create_response") || !strings.HasSuffix(text.String(), "\r\n") {
		n, err := a.sock.Read(b)
		if err != nil {
			return fmt.Errorf("JetStream: %w: %.200q", err, text.String())
		}
		text.Write(b[:n])
	}
	if strings.Contains(text.String(), `"error"`) {
		return fmt.Errorf("JetStream: %.400q", text.String())
	}
	return nil
}

// command appends the bytes that append one payload.
func (a *appender) command(b []byte, stream int, payload string) []byte {
	if a.inbox != "" {
		return fmt.Appendf(b, "PUB s.%d %s %d\r\n%s\r\n", stream, a.inbox, len(payload), payload)
	}
	name := fmt.Sprintf("s.%d", stream)
	return fmt.Appendf(b, "*5\r\n$4\r\nXADD\r\n$%d\r\n%s\r\n$1\r\n*\r\n$4\r\ndata\r\n$%d\r\n%s\r\n", len(name), name, len(payload), payload)
}

// acknowledged counts the appends that are acknowledged in full by the next bytes. A refusal is an error: in RESP it begins a
// line with a minus, in JetStream it is a member of the object.
func (a *appender) acknowledged(b []byte) (count int, err error) {
	for _, c := range b {
		if c == '-' && a.partial == '\n' {
			return count, fmt.Errorf("refused: %.200q", b)
		}
		if c == '\n' {
			if a.newlines++; a.newlines == 2 {
				a.newlines, count = 0, count+1
			}
		}
		a.partial = c
	}
	if a.inbox != "" && strings.Contains(string(b), `"error"`) {
		return count, fmt.Errorf("refused: %.200q", b)
	}
	return count, nil
}
