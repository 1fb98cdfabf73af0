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

	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/protocol"
)

// subOptions are the options of conch sub.
type subOptions struct {
	serverFlags
	topics, patterns []string
	where            string
	from             string
	last             int
	format           outputFormat
	count            int           // 0: no end
	timeout          time.Duration // 0: none
}

const subText = `conch sub news weather                    as lines: topic message
conch sub --pattern 'orders.*' --where 'price > 100'
conch sub --last 10 news                  the last ten first, if the server keeps messages
conch sub --json orders | jq .payload     for programs
conch sub --raw --count 1 jobs            the next message alone, byte for byte

Arguments are topics, and stars in them are stars: patterns need --pattern, and predicates --where. A topic that has
' WHERE ', ' FROM ' or ' LAST ' in it, such as 'a WHERE b', needs the pattern 'a \WHERE b', because a predicate or a
position would begin there.

A position of --from is a number of an epoch (ef86d081884c7d65-124, #124), 0 for all that is kept, a time
(2026-11-21T10:00:00Z) or so long ago (-5m).

In lines, control bytes are shown as \n or \x1b, so that no message can forge a line or drive a terminal. --raw shows
bytes as they are. JSON has a text that is no UTF-8 in base64 under another key, such as payload_base64 for payload.
When the connection breaks, conch sub reconnects, and goes on behind the last message if the server keeps messages
(conch --recent 64MiB). Standard error, and JSON too, show what may have been missed.

`

// subCommand is conch sub.
func (e *Env) subCommand() *cli.Command {
	o := &subOptions{}
	addPattern := func(text string) error { o.patterns = append(o.patterns, text); return nil }
	return &cli.Command{
		Name: "sub", Usage: "print the messages of topics and patterns as they come", ArgsUsage: "topic...",
		Description: subText + serverText + statusText(), ShellComplete: e.complete(o.topicsInUse),
		Flags: append(o.flags(e),
			option("pattern,p", "GLOB", "listen to all topics that match: * ? [a-z] [^x]; may be given several times", "", addPattern),
			option("where,w", "EXPR", "only messages for which this holds, of all topics and patterns; && joins several", "", o.setWhere),
			option("from", "POSITION", "begin with the messages that are kept from there on; 0 is all", "", o.setFrom),
			option("last", "NUMBER", "begin with the last messages that match, of each topic or pattern", "none", parsed(&o.last, config.ParseCount)),
			toggle("json,j", "one JSON object per line, for messages and for what happens to the connection", &o.format.json),
			toggle("raw,r", "the bytes of each message and a newline, nothing else", &o.format.raw),
			toggle("sequences", "show the sequence number of each message; JSON has it too then", &o.format.sequences),
			option("count,n", "NUMBER", "end after so many messages", "no end", parsed(&o.count, config.ParseCount)),
			option("timeout,t", "TIME", "end after so long, connecting included", "no end", parsed(&o.timeout, config.ParseDuration)),
		),
		Action: e.untilSignal(func(ctx context.Context, topics []string) error {
			o.topics = topics
			if err := o.check(); err != nil {
				return err
			}
			return o.execute(ctx, e)
		}),
	}
}

func (o *subOptions) setWhere(text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return errors.New("expected an expression, such as 'price > 100'")
	case o.where != "":
		return errors.New("it is given twice; join the expressions with &&, as in 'price > 100 && size < 5'")
	}
	o.where = text
	return nil
}

func (o *subOptions) setFrom(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("expected a position, such as 0 or -5m")
	}
	o.from = text
	return nil
}

func (o *subOptions) check() error {
	switch {
	case o.from != "" && o.last > 0:
		return usageErr("sub", "--from and --last exclude each other")
	case len(o.topics)+len(o.patterns) == 0:
		return usageErr("sub", "expected a topic, or --pattern; usage: conch sub [options] topic...")
	case o.format.json && o.format.raw:
		return usageErr("sub", "--json and --raw exclude each other")
	case o.format.raw && o.format.sequences:
		return usageErr("sub", "--raw shows no sequence numbers; leave out --sequences, or take --json")
	}
	return nil
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
		if o.from != "" {
			all[i] = all[i].From(o.from)
		}
		if o.last > 0 {
			all[i] = all[i].Last(o.last)
		}
	}
	return all
}

// execute subscribes and prints until the end.
func (o *subOptions) execute(ctx context.Context, e *Env) error {
	options, err := o.options("sub")
	if err != nil {
		return err
	}
	o.format.sequences = o.format.sequences || options.Sequences // the URL can switch them on
	options.Sequences = true                                     // a resume needs them
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

// explainRefusal adds what to do to an error of connecting or subscribing. The errors of server and client about WHERE,
// FROM and LAST in a name are for programs; here there are flags.
func (o *subOptions) explainRefusal(ctx context.Context, options client.Options, err error) error {
	const instead = "on the command line a predicate is given with --where, a position with --from or --last"
	hasWord := func(name string) bool {
		return strings.Contains(name, " WHERE ") || strings.Contains(name, " FROM ") || strings.Contains(name, " LAST ")
	}
	var refusal *client.Error
	switch {
	case errors.Is(context.Cause(ctx), errTimeout):
		return fmt.Errorf("sub: no answer from %s within %s, the time of --timeout", addressText(options), o.timeout)
	case slices.ContainsFunc(o.patterns, hasWord) && errors.Is(err, client.ErrInvalidOption):
		return usageErr("sub", "%s; %s", strings.TrimPrefix(err.Error(), client.ErrInvalidOption.Error()+": "), instead)
	case o.where == "" && o.from == "" && o.last == 0 && slices.ContainsFunc(o.topics, hasWord) && errors.As(err, &refusal) && refusal.Code == client.CodeErr:
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
