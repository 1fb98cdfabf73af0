package cli

import (
	"context"
	"fmt"
	"strings"

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

var pubTable = append(serverFlagOptions(func(o *pubOptions) *serverFlags { return &o.serverFlags }), []option[pubOptions]{
	{
		name: "connections", letter: "c", value: "NUMBER", fallback: "1", example: "4",
		usage: "publish over so many connections; several do not keep the order of the lines",
		set:   func(o *pubOptions, text string) (err error) { o.connections, err = config.ParseCount(text); return err },
	},
	textFlag("unacked", "FILE", "write the lines that are not acknowledged to this file, which must not exist yet", "rest.txt",
		func(o *pubOptions) *string { return &o.unacked }),
	toggle("json", "j", "one JSON object per line for each acknowledgement: topic, receivers, sequence",
		func(o *pubOptions) *bool { return &o.json }),
	toggle("quiet", "q", "print nothing but errors", func(o *pubOptions) *bool { return &o.quiet }),
}...)

// pubHelp is what conch pub --help prints.
func pubHelp() string {
	return `conch pub publishes a message, or each line of the standard input as one.

Usage: conch pub [flags] topic [message]

Examples:
  conch pub news "I'm a message!"
  conch pub news several words              are one message, with single spaces
  conch pub orders < orders.jsonl           a message for each line
  conch pub orders --connections 4 --unacked rest.jsonl < orders.jsonl
  conch pub orders < rest.jsonl             what is left of it

` + optionsHelp(pubTable) + `
A message that begins with a dash stands behind --, as in: conch pub news -- -5

conch pub ends with 0 when the server has acknowledged all. When something is not acknowledged, because the server has
refused it or the connection broke, nothing more is published. What was on its way then may have been published or not;
it is not sent again, but written, in order, to the file of --unacked, and behind it the rest of the input. Without that
file, what was on its way is written to standard error, and the rest of the input is not read. When there is no server,
or it wants a password, the file gets the whole input, which is read to its end, and the status is 1. A line may have
512 MiB at most; a longer one, and all behind it, is not published, but written to the file.

` + serverFlagsHelp + "\n" + statusHelp()
}

// parsePub reads the arguments after "pub". It returns nil after it has answered --help.
func parsePub(e *Env) (*pubOptions, error) {
	o := &pubOptions{connections: 1, maxLine: maxLineLength}
	arguments, help, err := readOptions("pub", pubTable, o, e.Args, e.LookupEnv)
	switch {
	case err != nil:
		return nil, err
	case help:
		return nil, answer(e.Stdout, pubHelp())
	case len(arguments) == 0:
		return nil, subcommandUsageErr("pub", "expected a topic; usage: conch pub [flags] topic [message]")
	case o.json && o.quiet:
		return nil, subcommandUsageErr("pub", "--json and --quiet exclude each other")
	case o.connections > 64:
		return nil, subcommandUsageErr("pub", "flag --connections: expected 1 to 64, not %d", o.connections)
	}
	o.topic = arguments[0]
	if len(arguments) > 1 {
		message := strings.Join(arguments[1:], " ")
		o.message = &message
	}
	return o, nil
}

// publish is the subcommand: conch pub.
func publish(ctx context.Context, e *Env) error {
	o, err := parsePub(e)
	if err != nil || o == nil {
		return err
	}
	return o.execute(ctx, e)
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
