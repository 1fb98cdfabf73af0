package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// fake is a server of a test: forward returns the messages to deliver for each message.
type fake struct {
	forward func(n int, frame []byte) [][]byte // the n-th message of all, counted from 0

	mu   sync.Mutex
	subs []net.Conn
	n    int
}

// pass delivers each message unchanged.
func pass(_ int, frame []byte) [][]byte { return [][]byte{frame} }

// listen serves until the test ends.
func (f *fake) listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var running sync.WaitGroup
	var mu sync.Mutex
	var all []net.Conn
	running.Go(func() {
		for {
			sock, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, sock)
			mu.Unlock()
			running.Go(func() { serve(sock) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for _, sock := range all {
			_ = sock.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return listener.Addr().String()
}

func (f *fake) toAll(frame []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.forward(f.n, frame) {
		for _, sub := range f.subs {
			_, _ = sub.Write(b)
		}
	}
	f.n++
}

func (f *fake) add(sock net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(f.subs, sock) {
		f.subs = append(f.subs, sock)
	}
}

// raw serves as a relay, frame by frame.
func (f *fake) raw(t *testing.T, frame int) string {
	return f.listen(t, func(sock net.Conn) {
		word := make([]byte, 4)
		if _, err := io.ReadFull(sock, word); err != nil {
			return
		}
		if string(word) == "sub\n" {
			f.add(sock)
			_, _ = io.WriteString(sock, "ok\n")
			return
		}
		for {
			b := make([]byte, frame)
			if _, err := io.ReadFull(sock, b); err != nil {
				return
			}
			f.toAll(b)
		}
	})
}

// nats serves the part of the NATS protocol that the generator uses, and pings often.
func (f *fake) nats(t *testing.T) string {
	return f.listen(t, func(sock net.Conn) {
		_, _ = io.WriteString(sock, "INFO {\"server_id\":\"fake\"}\r\n")
		r := bufio.NewReader(sock)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			words := strings.Fields(line)
			switch words[0] {
			case "CONNECT": // as the real server does
				_, _ = io.WriteString(sock, "INFO {\"client_id\":1}\r\n")
			case "PING":
				_, _ = io.WriteString(sock, "PONG\r\n")
			case "SUB":
				_, _ = io.WriteString(sock, "PING\r\n")
				f.add(sock)
			case "PUB":
				var size int
				_, _ = fmt.Sscan(words[2], &size)
				payload := make([]byte, size+2)
				if _, err := io.ReadFull(r, payload); err != nil {
					return
				}
				f.toAll(append([]byte(fmt.Sprintf("PING\r\nMSG %s %s %s\r\n", words[1], words[1], words[2])), payload...))
			}
		}
	})
}
