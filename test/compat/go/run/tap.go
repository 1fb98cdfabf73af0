package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// tapped stands between the clients and the server, and keeps what each connection says in a file of its own.
func tapped(server, folder string) (string, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() {
		for number := 1; ; number++ {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go between(client, server, filepath.Join(folder, fmt.Sprintf("%04d", number)))
		}
	}()
	return l.Addr().String(), nil
}

func between(client net.Conn, server, name string) {
	defer func() { _ = client.Close() }()
	far, err := net.Dial("tcp", server)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tap:", err)
		return
	}
	defer func() { _ = far.Close() }()
	f, err := os.Create(name)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tap:", err)
		return
	}
	defer func() { _ = f.Close() }()
	both := &record{to: f}
	ended := make(chan struct{}, 2)
	pass := func(mark string, to, from net.Conn) {
		_, _ = io.Copy(io.MultiWriter(to, side{both, mark}), from) // the end of either side ends both
		ended <- struct{}{}
	}
	go pass("> ", far, client)
	go pass("< ", client, far)
	<-ended
}

// record keeps both directions of a connection in the order they were seen.
type record struct {
	mutex sync.Mutex
	to    io.Writer
}

// side is one direction of it.
type side struct {
	*record
	mark string
}

func (s side) Write(b []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	_, err := fmt.Fprintf(s.to, "%s%q\n", s.mark, b)
	return len(b), err
}
