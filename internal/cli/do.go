package cli

import (
	"bufio"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/client"
)

// doOptions are the options of conch do and conch ping.
type doOptions struct {
	serverFlags
	json bool
}

const doText = `conch do INFO clients
conch do --json PUBSUB STATS | jq .
conch do CONFIG SET log-level debug
conch do CLIENT LIST | less

Flags stand in front of the command; what follows its name goes to the server as it is. The reply is printed as it
arrives: a line for each element of a list, "key: value" for each of a map. An error of the server is status 1.

`

// doCommand is conch do.
func (e *Env) doCommand() *cli.Command {
	o, first := &doOptions{}, 1
	return &cli.Command{
		Name: "do", Usage: "send one command of Redis, and print the reply", ArgsUsage: "COMMAND [ARG...]", StopOnNthArg: &first,
		Description: doText + serverText, ShellComplete: e.complete(o.topicsInUse),
		Flags: append(o.flags(e), toggle("json,j", "print the reply as one JSON value", &o.json)),
		Action: e.untilSignal(func(ctx context.Context, arguments []string) error {
			switch {
			case len(arguments) == 0:
				return usageErr("do", "expected a command; usage: conch do [options] COMMAND [ARG...]")
			case slices.Contains(endless, strings.ToUpper(arguments[0])):
				return usageErr("do", "%s has no single reply; use conch sub for messages", strings.ToUpper(arguments[0]))
			}
			return o.execute(ctx, e, arguments)
		}),
	}
}

// endless are the commands after which a connection receives more than one reply.
var endless = []string{"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR"}

func (o *doOptions) execute(ctx context.Context, e *Env, arguments []string) error {
	options, err := o.options("do")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer watchReader(e.Stdout, cancel)()
	out := bufio.NewWriter(e.Stdout)
	var printer replyPrinter = linesPrinter{out}
	if o.json {
		printer = jsonPrinter{out}
	}
	err = request(ctx, options, arguments, printer)
	if flushed := out.Flush(); flushed != nil || ctx.Err() != nil { // a signal, or the reader of the output is gone
		return unlessClosed(flushed)
	}
	if err != nil {
		return explainDialError("do", options, err)
	}
	return nil
}

// request sends one command and prints the reply.
func request(ctx context.Context, o client.Options, arguments []string, printer replyPrinter) error {
	c, err := connect(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // the reply has come
	if err := c.send(arguments); err != nil {
		return err
	}
	return printReply(c.r, printer)
}

// pingCommand is conch ping.
func (e *Env) pingCommand() *cli.Command {
	o := &doOptions{}
	return &cli.Command{
		Name: "ping", Usage: "check that a server replies, and print how long that takes", Description: serverText, Flags: o.flags(e),
		Action: e.untilSignal(func(ctx context.Context, arguments []string) error {
			if len(arguments) > 0 {
				return usageErr("ping", "expected no argument, got %q; the server is given with --url", arguments)
			}
			options, err := o.options("ping")
			if err != nil {
				return err
			}
			c, err := connect(ctx, options)
			if err != nil {
				return explainDialError("ping", options, err)
			}
			defer func() { _ = c.Close() }() // the reply has come
			start := time.Now()
			if err := c.discard([]string{"PING"}); err != nil {
				return explainDialError("ping", options, err)
			}
			_, err = fmt.Fprintf(e.Stdout, "PONG from %s in %.2f ms\n", c.addr, float64(time.Since(start).Microseconds())/1000)
			return unlessClosed(err)
		}),
	}
}

// completeTime bounds how long a TAB waits for the server, mostTopics how many topics it offers.
const (
	completeTime = time.Second
	mostTopics   = 200
)

// topicsInUse are topics that are subscribed to and begin with word. The clients of the server choose the names, so only
// those are candidates that every shell takes as they stand.
func (f *serverFlags) topicsInUse(ctx context.Context, word string) []string {
	options, err := f.options("")
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	glob := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(word) + "*"
	topics := &topicCollector{}
	_ = request(ctx, options, []string{"PUBSUB", "CHANNELS", glob}, topics) // what came so far is offered
	slices.Sort(topics.all)
	return topics.all
}

// topicCollector keeps the texts of a reply that are safe on a command line.
type topicCollector struct {
	discardPrinter
	all []string
}

func (t *topicCollector) scalar(it item, _ place) {
	if name := string(it.text); len(t.all) < mostTopics && safeTopic.MatchString(name) {
		t.all = append(t.all, name)
	}
}

var safeTopic = regexp.MustCompile(`^[A-Za-z0-9._/:][A-Za-z0-9._/:-]*$`)
