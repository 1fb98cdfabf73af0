package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// patience is how long a server may take for one answer. No answer here takes a second.
const patience = 60 * time.Second

// wire is a connection that speaks RESP2: commands are gathered, sent together, and answered one by one.
type wire struct {
	sock net.Conn
	in   *bufio.Reader
	out  []byte
}

func dial(ctx context.Context, address string) (*wire, error) {
	sock, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &wire{sock: sock, in: bufio.NewReaderSize(sock, 64<<10)}, nil
}

func (w *wire) close() { _ = w.sock.Close() } // all that matters of it is that the server sees it

// command gathers one command.
func (w *wire) command(args ...string) {
	w.out = fmt.Appendf(w.out, "*%d\r\n", len(args))
	for _, a := range args {
		w.out = fmt.Appendf(w.out, "$%d\r\n%s\r\n", len(a), a)
	}
}

// send sends what was gathered, in one write.
func (w *wire) send() error {
	if err := w.sock.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := w.sock.Write(w.out)
	w.out = w.out[:0]
	return err
}

// answers reads n replies and returns the sum of all integers in them: of publishes, the receivers; of PUBSUB NUMSUB,
// the subscribers. An error among them is an error.
func (w *wire) answers(n int) (sum int64, err error) {
	for range n {
		got, err := w.answer()
		if err != nil {
			return 0, err
		}
		sum += got
	}
	return sum, nil
}

func (w *wire) answer() (sum int64, err error) {
	line, err := w.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 3 {
		return 0, errors.New("an empty line where a reply must start")
	}
	kind, rest := line[0], string(line[1:len(line)-2])
	switch kind {
	case '+':
		return 0, nil
	case '-':
		return 0, errors.New(rest)
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no reply", line)
	}
	switch {
	case kind == ':':
		return n, nil
	case n < 0: // nothing
		return 0, nil
	case kind == '$':
		_, err := io.CopyN(io.Discard, w.in, n+2)
		return 0, err
	case kind == '*':
		return w.answers(int(n))
	}
	return 0, fmt.Errorf("%q is no reply", line)
}

// ask sends one command and reads its one reply.
func (w *wire) ask(args ...string) (sum int64, err error) {
	w.command(args...)
	if err := w.send(); err != nil {
		return 0, err
	}
	return w.answer()
}

// each asks a command about many names, 1,000 at a time, and reads a reply for each name.
func (w *wire) each(verb string, names []string) error {
	for len(names) > 0 {
		now := names[:min(len(names), 1000)]
		names = names[len(now):]
		w.command(append([]string{verb}, now...)...)
		if err := w.send(); err != nil {
			return err
		}
		if _, err := w.answers(len(now)); err != nil {
			return err
		}
	}
	return nil
}

// pipeline writes the commands that next gathers, 64 in one write, and reads as many replies, keeping several such
// writes on the way so that the server need not wait, until the time is over. It returns the number of commands and
// the sum of their replies.
func (w *wire) pipeline(ctx context.Context, duration time.Duration, next func()) (commands int, sum int64, err error) {
	const together, ahead = 64, 8
	end := time.Now().Add(duration)
	write := func() error {
		for range together {
			next()
		}
		return w.send()
	}
	onTheWay := 0
	for more := true; more || onTheWay > 0; {
		more = more && time.Now().Before(end) && ctx.Err() == nil
		for more && onTheWay < ahead {
			if err := write(); err != nil {
				return commands, sum, err
			}
			onTheWay++
		}
		if onTheWay == 0 {
			break
		}
		got, err := w.answers(together)
		if err != nil {
			return commands, sum, err
		}
		commands, sum, onTheWay = commands+together, sum+got, onTheWay-1
	}
	return commands, sum, ctx.Err()
}

// discard takes what comes without looking, from now on until the connection is stopped by what discard returns. What
// should come is known from the replies to whoever publishes.
func (w *wire) discard() (stop func()) {
	_ = w.sock.SetReadDeadline(time.Time{}) // fails only on a closed socket, from which nothing comes
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, w.in) // ends when it is closed
	}()
	return func() {
		w.close()
		<-ended
	}
}

// names are n of them, each the format with its number.
func names(format string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, i)
	}
	return all
}
