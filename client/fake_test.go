package client

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// fake is a server that plays one script per connection, in order, and refuses further connections. The lines of a
// script:
//
//	> HELLO 3      expects this command, its arguments joined by blanks
//	< +a|:1        sends this, with CR LF for each bar and at the end
//	hang           sends nothing until the client closes
//	gate           waits for openGate
type fake struct {
	t       *testing.T
	mu      sync.Mutex
	scripts []string // of later connections
	dialed  func()   // may be nil
	gate    chan struct{}
}

// errRefused is the error of a fake without a script.
var errRefused = errors.New("connection refused by the fake")

// serve returns Options that connect to a fake. All that it runs ends before the test does.
func serve(t *testing.T, scripts ...string) (*fake, Options) {
	f := &fake{t: t, scripts: scripts, gate: make(chan struct{})}
	var tasks sync.WaitGroup
	t.Cleanup(tasks.Wait)
	return f, Options{
		random: func(int64) int64 { return 0 },
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.dialed != nil {
				f.dialed()
			}
			if len(f.scripts) == 0 {
				return nil, errRefused
			}
			script := f.scripts[0]
			f.scripts = f.scripts[1:]
			ours, theirs := net.Pipe()
			tasks.Go(func() { f.play(ours, script) })
			return theirs, nil
		},
	}
}

func (f *fake) openGate() { f.gate <- struct{}{} }

// add adds a script for one more connection.
func (f *fake) add(script string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scripts = append(f.scripts, script)
}

// play plays one script.
func (f *fake) play(sock net.Conn, script string) {
	defer func() { _ = sock.Close() }()
	commands := newReplyReader(sock, 1<<20)
	for line := range strings.Lines(script) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "":
		case ">":
			f.expect(commands, rest)
		case "<":
			_, _ = io.WriteString(sock, strings.ReplaceAll(rest, "|", "\r\n")+"\r\n") // the client may have closed; the test then fails there
		case "hang":
			_, _ = io.Copy(io.Discard, sock)
		case "gate":
			<-f.gate
		default:
			assert.Fail(f.t, "no line of a script", line)
		}
	}
}

// expect reads one command.
func (f *fake) expect(commands *replyReader, want string) {
	command, err := commands.read()
	args := make([]string, len(command.elements))
	for i := range args {
		args[i] = string(command.elements[i].bytes)
	}
	if !assert.NoError(f.t, err, "where %q was due", want) || !assert.Equal(f.t, want, strings.Join(args, " ")) {
		runtime.Goexit()
	}
}

// Handshakes, for the beginning of a script.
const (
	resp3 = `
		> HELLO 3
		< %2|+server|+redis|+proto|:3
		> CLIENT SETINFO LIB-NAME conch-go
		< +OK
	`
	resp2 = `
		> HELLO 3
		< -NOPROTO unsupported protocol version
		> CLIENT SETINFO LIB-NAME conch-go
		< +OK
	`
)

// withSeq is the handshake of a server with sequence numbers.
func withSeq(epoch, seq string) string {
	return resp3 + `
		> CLIENT CAPA seq
		< +OK
		> HELLO
		< %2|+epoch|+` + epoch + `|+sequence|:` + seq + `
	`
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
