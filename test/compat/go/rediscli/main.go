// Command rediscli drives redis-cli. It prints every element of a frame as a line. While it is subscribed it takes no
// command, so it is not pinged then; a subscriber that is killed ends, and one that is idle connects again.
package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/conchmq/conch/test/compat/go/check"
)

func main() {
	address, protocol := check.Arguments()
	host, port, _ := net.SplitHostPort(address) // joined by Arguments
	c := &cli{address: address, options: []string{"-h", host, "-p", port}}
	if protocol == "RESP3" {
		c.options = append(c.options, "-3")
	}
	version, _ := exec.Command("redis-cli", "--version").Output() // if it is missing, the first check says so
	r := &check.Report{Client: "redis-cli", Version: check.Tool(string(version)), Protocol: protocol}
	r.Try("connect", func() error { return c.once("PONG", "PING") })
	r.Try("subscribe", c.subscribe)
	r.Try("PUBLISH counts", c.counts)
	r.Try("a thousand messages", c.thousand)
	if check.Conch() {
		r.Try("a thousand lines", c.lines)
	} else {
		r.Skip("a thousand lines", "this server does not speak lines")
	}
	if protocol == "RESP2" { // in RESP3 it waits for an answer other than the push
		r.Try("unsubscribe", func() error {
			return c.typed("UNSUBSCRIBE\nPUNSUBSCRIBE nope\nPING\n", "unsubscribe", "", "0", "punsubscribe", "nope", "0", "PONG")
		})
	}
	r.Try("2,000 topics at once", c.many)
	r.Try("killed and back", c.killed)
	for _, l := range c.listening {
		l.stop()
	}
	r.Exit()
}

type cli struct {
	address   string
	options   []string
	topics    *listening
	patterns  *listening
	listening []*listening
}

func (c *cli) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "redis-cli", append(c.options[:len(c.options):len(c.options)], args...)...)
}

// once runs one command and wants its whole answer.
func (c *cli) once(want string, args ...string) error {
	got, err := c.run("", args...)
	if err == nil && got != want+"\n" {
		err = fmt.Errorf("%v: answered %q, not %q", args, got, want)
	}
	return err
}

// typed runs several commands as a person would type them.
func (c *cli) typed(text string, want ...string) error {
	got, err := c.run(text)
	if err == nil && got != strings.Join(want, "\n")+"\n" {
		err = fmt.Errorf("answered %.300q, not %.300q", got, want)
	}
	return err
}

func (c *cli) run(input string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), check.Patience)
	defer cancel()
	command := c.command(ctx, args...)
	command.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%v: %w: %q", args, err, out.String())
	}
	return out.String(), nil
}

// listening is a running redis-cli, and the lines it prints.
type listening struct {
	lines chan string
	input io.Writer
	stop  func()
}

func (c *cli) listen(args ...string) (*listening, error) {
	ctx, cancel := context.WithCancel(context.Background())
	l := &listening{lines: make(chan string, 100000), stop: cancel}
	c.listening = append(c.listening, l)
	command := c.command(ctx, args...)
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	command.Stderr = command.Stdout
	if l.input, err = command.StdinPipe(); err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(l.lines)
		for text := bufio.NewScanner(out); text.Scan(); {
			l.lines <- text.Text()
		}
		_ = command.Wait() // how it ended does not matter
	}()
	return l, nil
}

// expect waits for exactly these lines.
func (l *listening) expect(all ...string) error {
	for i, want := range all {
		if got, err := l.next(); err != nil || got != want {
			return fmt.Errorf("line %d of %d: got %q, %v; not %q", i+1, len(all), got, err, want)
		}
	}
	return nil
}

func (l *listening) next() (string, error) {
	select {
	case got, ok := <-l.lines:
		if !ok {
			return "", io.EOF
		}
		return got, nil
	case <-time.After(check.Patience):
		return "", context.DeadlineExceeded
	}
}

func (c *cli) subscribe() (err error) {
	if c.topics, err = c.listen("SUBSCRIBE", check.Topic("one"), check.Topic("two")); err != nil {
		return err
	}
	if err := c.topics.expect("subscribe", check.Topic("one"), "1", "subscribe", check.Topic("two"), "2"); err != nil {
		return err
	}
	if c.patterns, err = c.listen("PSUBSCRIBE", check.Topic("news.*")); err != nil {
		return err
	}
	return c.patterns.expect("psubscribe", check.Topic("news.*"), "1")
}

func (c *cli) counts() error {
	for _, p := range []struct{ want, topic, message string }{
		{"0", "nobody", "x"}, {"1", "one", ""}, {"1", "news.x", "it's"}, {"1", "two", "last"},
	} {
		if err := c.once(p.want, "PUBLISH", check.Topic(p.topic), p.message); err != nil {
			return err
		}
	}
	if err := c.topics.expect("message", check.Topic("one"), "", "message", check.Topic("two"), "last"); err != nil {
		return err
	}
	return c.patterns.expect("pmessage", check.Topic("news.*"), check.Topic("news.x"), "it's")
}

// expectAll wants the numbered messages where they belong.
func (c *cli) expectAll(all []check.Event) error {
	for _, m := range all {
		var err error
		if m.Kind == "pmessage" {
			err = c.patterns.expect(m.Kind, m.Pattern, m.Topic, m.Payload)
		} else {
			err = c.topics.expect(m.Kind, m.Topic, m.Payload)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) thousand() error {
	all := check.Numbered("redis-")
	var text strings.Builder
	var want []string
	for _, m := range all {
		fmt.Fprintf(&text, "PUBLISH %s %s\n", m.Topic, m.Payload)
		want = append(want, "1")
	}
	if err := c.typed(text.String(), want...); err != nil {
		return err
	}
	return c.expectAll(all)
}

func (c *cli) lines() error {
	all := check.Numbered("line, \"quoted\" ")
	if err := check.PublishLines(c.address, all); err != nil {
		return err
	}
	return c.expectAll(all)
}

func (c *cli) many() error {
	topics := check.Many()
	l, err := c.listen(append([]string{"SUBSCRIBE"}, topics...)...)
	if err != nil {
		return err
	}
	for i, t := range topics {
		if err := l.expect("subscribe", t, strconv.Itoa(i+1)); err != nil {
			return err
		}
	}
	last := topics[len(topics)-1]
	if err := c.once("1", "PUBLISH", last, "first"); err != nil {
		return err
	}
	return l.expect("message", last, "first")
}

func (c *cli) killed() error {
	l, err := c.listen()
	if err != nil {
		return err
	}
	ask := func() (string, error) {
		if _, err := io.WriteString(l.input, "CLIENT ID\n"); err != nil {
			return "", err
		}
		return l.next()
	}
	id, err := ask()
	if err != nil {
		return err
	}
	list, err := c.run("", "CLIENT", "LIST")
	if err != nil {
		return err
	}
	if !strings.Contains("\n"+list, "\nid="+id+" ") {
		return fmt.Errorf("CLIENT LIST: no client %s in %q", id, list)
	}
	if err := c.once("1", "CLIENT", "KILL", "ID", id); err != nil {
		return err
	}
	again, err := ask()
	if err == nil && strings.HasPrefix(again, "Error: ") {
		again, err = ask() // it says once that it lost the connection, and takes the next command over a new one
	}
	if err != nil {
		return fmt.Errorf("CLIENT ID after the kill: %w", err)
	}
	if _, err := strconv.Atoi(again); err != nil || again == id {
		return fmt.Errorf("CLIENT ID after the kill of %s: %q", id, again)
	}
	return nil
}
