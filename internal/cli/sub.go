package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/protocol"
)

// subOptions are the options of conch sub.
type subOptions struct {
	serverFlags
	topics, patterns []string
	where            string
	format           outputFormat
	count            int           // 0: no end
	timeout          time.Duration // 0: none
}

var subTable = append(serverFlagOptions(func(o *subOptions) *serverFlags { return &o.serverFlags }), []option[subOptions]{
	{
		name: "pattern", letter: "p", value: "GLOB", example: "'orders.*'",
		usage: "listen to all topics that match: * ? [a-z] [^x]; may be given several times",
		set:   func(o *subOptions, text string) error { o.patterns = append(o.patterns, text); return nil },
	},
	{
		name: "where", letter: "w", value: "EXPR", example: "'price > 100'",
		usage: "only messages for which this holds, of all topics and patterns; && joins several", set: setWhere,
	},
	toggle("json", "j", "one JSON object per line, for messages and for what happens to the connection",
		func(o *subOptions) *bool { return &o.format.json }),
	toggle("raw", "r", "the bytes of each message and a newline, nothing else",
		func(o *subOptions) *bool { return &o.format.raw }),
	toggle("sequences", "", "show the sequence number of each message; JSON has it too then",
		func(o *subOptions) *bool { return &o.format.sequences }),
	{
		name: "count", letter: "n", value: "NUMBER", fallback: "no end", example: "1", usage: "end after so many messages",
		set: func(o *subOptions, text string) (err error) { o.count, err = config.ParseCount(text); return err },
	},
	{
		name: "timeout", letter: "t", value: "TIME", fallback: "no end", example: "10s", usage: "end after so long, connecting included",
		set: func(o *subOptions, text string) (err error) { o.timeout, err = config.ParseDuration(text); return err },
	},
}...)

func setWhere(o *subOptions, text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return errors.New("expected an expression, such as 'price > 100'")
	case o.where != "":
		return errors.New("it is given twice; join the expressions with &&, as in 'price > 100 && size < 5'")
	}
	o.where = text
	return nil
}

// subHelp is what conch sub --help prints.
func subHelp() string {
	return `conch sub prints the messages of topics and patterns as they come.

Usage: conch sub [flags] topic...

Examples:
  conch sub news weather                    as lines: topic message
  conch sub --pattern 'orders.*' --where 'price > 100'
  conch sub --json orders | jq .payload     for programs
  conch sub --raw --count 1 jobs            the next message alone, byte for byte

` + optionsHelp(subTable) + `
Arguments are topics, whatever is in them, but ' WHERE ': to conch a predicate begins there, and that is given with
--where; to listen to the topic 'a WHERE b', give the pattern 'a \WHERE b'. Patterns are given with --pattern.

In lines, control bytes are shown as \n or \x1b, so that no message can forge a line or drive a terminal;
--raw shows bytes as they are. A text that is no UTF-8 is in JSON under another key, in base64: payload_base64 for
payload, and so on. When the connection breaks, conch sub reconnects; standard error, and JSON too, show what may
have been missed. When --timeout is over before the server has answered, the status is 1, as without a server.

` + serverFlagsHelp + "\n" + statusHelp()
}

// parseSub reads the arguments after "sub". It returns nil after it has answered --help.
func parseSub(e *Env) (*subOptions, error) {
	o := &subOptions{}
	topics, help, err := readOptions("sub", subTable, o, e.Args, e.LookupEnv)
	switch {
	case err != nil:
		return nil, err
	case help:
		return nil, answer(e.Stdout, subHelp())
	case len(topics)+len(o.patterns) == 0:
		return nil, subcommandUsageErr("sub", "expected a topic, or --pattern; usage: conch sub [flags] topic...")
	case o.format.json && o.format.raw:
		return nil, subcommandUsageErr("sub", "--json and --raw exclude each other")
	case o.format.raw && o.format.sequences:
		return nil, subcommandUsageErr("sub", "--raw shows no sequence numbers; leave out --sequences, or take --json")
	}
	o.topics = topics
	return o, nil
}

// names are the topics and patterns to subscribe to.
func (o *subOptions) names() (all []client.Name) {
	for _, topic := range o.topics {
		all = append(all, client.Topic(topic))
	}
	for _, pattern := range o.patterns {
		all = append(all, client.Pattern(pattern))
	}
	for i := range all {
		if o.where != "" {
			all[i] = all[i].Where(o.where)
		}
	}
	return all
}

// subscribe is the subcommand: conch sub.
func subscribe(ctx context.Context, e *Env) error {
	o, err := parseSub(e)
	if err != nil || o == nil {
		return err
	}
	options, err := o.options("sub")
	if err != nil {
		return err
	}
	options.Sequences = options.Sequences || o.format.sequences
	o.format.sequences = options.Sequences // the URL can switch them on
	for _, topic := range o.topics {
		if strings.ContainsAny(topic, "*?[") {
			_, _ = fmt.Fprintf(e.Stderr, "conch: sub: %s is taken for one topic; patterns are given with --pattern\n",
				protocol.EscapeMessage(nil, []byte(topic)))
		}
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.timeout, errTimeout)
		defer cancel()
	}
	conn, err := client.Dial(ctx, options)
	if err != nil {
		return o.explainRefusal(ctx, options, err)
	}
	defer func() { _ = conn.Close() }() // always nil
	s, err := conn.Subscribe(ctx, o.names()...)
	if err != nil {
		return o.explainRefusal(ctx, options, err)
	}
	return o.listen(ctx, s, e.Stdout, e.Stderr)
}

// explainRefusal adds what to do to an error of connecting or subscribing. The errors of server and client about WHERE in
// a name are for programs; here the flag is --where.
func (o *subOptions) explainRefusal(ctx context.Context, options client.Options, err error) error {
	const instead = "on the command line a predicate is given with --where"
	hasWhere := func(topic string) bool { return strings.Contains(topic, " WHERE ") }
	var refusal *client.Error
	switch {
	case errors.Is(context.Cause(ctx), errTimeout):
		return fmt.Errorf("sub: no answer from %s within %s, the time of --timeout", options.Addr, o.timeout)
	case slices.ContainsFunc(o.patterns, hasWhere) && errors.Is(err, client.ErrInvalidOption):
		return subcommandUsageErr("sub", "%s; %s", strings.TrimPrefix(err.Error(), client.ErrInvalidOption.Error()+": "), instead)
	case o.where == "" && slices.ContainsFunc(o.topics, hasWhere) && errors.As(err, &refusal) && refusal.Code == client.CodeErr:
		err = fmt.Errorf("%w; %s", err, instead)
	}
	return explainDialError("sub", options, err)
}

// errTimeout is the cause of the context when --timeout is over.
var errTimeout = errors.New("the time is up")

// listen prints events until --count is reached, ctx ends, or the reader of stdout is gone.
func (o *subOptions) listen(ctx context.Context, s *client.Subscription, stdout, stderr io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer watchReader(stdout, cancel)()
	events := make(chan client.Event, 256)
	var ended error // set before events is closed
	go func() {
		defer close(events)
		ended = forward(ctx, s, events)
	}()
	defer func() { // listen awaits its goroutine
		cancel()
		for range events { // so that it does not block
		}
	}()
	out := bufio.NewWriterSize(stdout, 64<<10)
	show := &printer{outputFormat: o.format, out: out, notes: stderr}
	for n := 0; o.count == 0 || n < o.count; {
		e, ok, err := next(events, out)
		if err == nil && ok {
			err = show.print(e)
		}
		switch {
		case err != nil:
			return unlessClosed(err)
		case !ok:
			return o.outcome(ctx, ended, n)
		}
		if _, is := e.(*client.Message); is {
			n++
		}
	}
	return unlessClosed(out.Flush())
}

// forward sends the events of a subscription until it ends.
func forward(ctx context.Context, s *client.Subscription, events chan<- client.Event) error {
	for e, err := range s.All(ctx) {
		if err != nil {
			return err
		}
		select {
		case events <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil // not reached: All ends with an error
}

// next returns the next event. It flushes before it blocks.
func next(events <-chan client.Event, out *bufio.Writer) (e client.Event, ok bool, err error) {
	select {
	case e, ok = <-events:
	default:
		if err := out.Flush(); err != nil {
			return nil, false, err
		}
		e, ok = <-events
	}
	if !ok {
		err = out.Flush()
	}
	return e, ok, err
}

// outcome is the error of a run that ended after n messages.
func (o *subOptions) outcome(ctx context.Context, ended error, n int) error {
	switch {
	case errors.Is(context.Cause(ctx), errTimeout) && o.count > 0:
		return &exitError{statusTimeout, fmt.Errorf("sub: %d of %d messages came within %s", n, o.count, o.timeout)}
	case ctx.Err() != nil:
		return nil
	}
	return fmt.Errorf("sub: %w", ended)
}
