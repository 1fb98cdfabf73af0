package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/config"
)

// pubOptions are the options of conch pub.
type pubOptions struct {
	serverFlags
	topic       string
	message     *string // nil: the lines of standard input
	connections int
	unacked     string // name of the file; empty: none
	json, quiet bool
	maxLine     int // most bytes of a line of the input
}

const pubText = `conch pub news "I'm a message!"
conch pub news several words              are one message, with single spaces
conch pub news -- -5                      a message that begins with a dash
conch pub orders < orders.jsonl           a message for each line
conch pub orders --connections 4 --unacked rest.jsonl < orders.jsonl
conch pub orders < rest.jsonl             what is left of it

conch pub ends with status 0 when the server has acknowledged all messages. It stops when a message is refused or the
connection breaks. Messages in flight may then have been published or not; conch pub does not send them again. The file
of --unacked gets them in order, and the rest of the input behind them. Without that file, messages in flight go to
standard error, each cut at 64 KiB, and the rest of the input is not read.

When there is no server, or it requires a password, the file gets the whole input, and the status is 1. A line of more
than 512 MiB is not published: the file gets it, and all lines behind it.

`

// pubCommand is conch pub.
func (e *Env) pubCommand() *cli.Command {
	o := &pubOptions{connections: 1, maxLine: maxLineLength}
	return &cli.Command{
		Name: "pub", Usage: "publish a message, or each line of the standard input as one", ArgsUsage: "topic [message]",
		Description: pubText + serverText + statusText(), ShellComplete: e.complete(o.topicsInUse),
		Flags: append(o.flags(e),
			option("connections,c", "NUMBER", "publish over so many connections; several do not keep the order of the lines", "1",
				parsed(&o.connections, config.ParseCount)),
			option("unacked", "FILE", "write the lines that are not acknowledged to this file, which must not exist yet", "",
				parsed(&o.unacked, anyText)),
			toggle("json,j", "one JSON object per line for each acknowledgement: topic, receivers, sequence", &o.json),
			toggle("quiet,q", "print nothing but errors", &o.quiet),
		),
		Action: e.untilSignal(func(ctx context.Context, arguments []string) error {
			if err := o.take(arguments); err != nil {
				return err
			}
			return o.execute(ctx, e)
		}),
	}
}

// take reads the arguments, and checks the options.
func (o *pubOptions) take(arguments []string) error {
	switch {
	case len(arguments) == 0:
		return usageErr("pub", "expected a topic; usage: conch pub [options] topic [message]")
	case o.json && o.quiet:
		return usageErr("pub", "--json and --quiet exclude each other")
	case o.connections > 64:
		return usageErr("pub", "flag --connections: expected 1 to 64, not %d", o.connections)
	}
	o.topic = arguments[0]
	if len(arguments) > 1 {
		message := strings.Join(arguments[1:], " ")
		o.message = &message
	}
	return nil
}

func (o *pubOptions) execute(ctx context.Context, e *Env) (err error) {
	options, err := o.options("pub")
	if err != nil {
		return err
	}
	options.Sequences = options.Sequences || o.json
	rest, err := openUnackedFile(o.unacked, e.Stderr)
	if err != nil {
		return fmt.Errorf("pub: unacked: %w", err)
	}
	defer func() { err = rest.close(err) }()
	publisher, err := client.NewPublisher(ctx, options, client.PublisherOptions{Connections: o.connections})
	if err != nil {
		return saveInput(ctx, newLineReader(o, e.Stdin), rest, explainDialError("pub", options, err))
	}
	s := newPublishRun(ctx, o, e, publisher)
	return s.finish(s.send(), rest)
}
