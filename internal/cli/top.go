package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/config"
)

const topText = `conch top
conch top --every 5s --rows 30
conch top --once --json | jq .rates

It shows rates, the busiest topics, the connections with the largest backlogs and what is lost, and draws that again until a
signal ends it. Without a terminal it prints one table after the other. It needs the rights to INFO, PUBSUB STATS and CLIENT LIST;
what the user may not read is left out, and named.

`

// The defaults of conch top, and the least time between two tables: each one costs the core a walk over all topics.
const (
	topEvery    = 2 * time.Second
	topRows     = 10
	mostTopRows = 1000
	shortestTop = 100 * time.Millisecond
)

// topOptions are the options of conch top.
type topOptions struct {
	doOptions
	every time.Duration
	rows  int
	once  bool
}

// topCommand is conch top.
func (e *Env) topCommand() *cli.Command {
	o := &topOptions{every: topEvery, rows: topRows}
	return &cli.Command{
		Name: "top", Usage: "show what a server does: rates, topics, backlogs, losses", Description: topText + serverText,
		Flags: append(o.flags(e),
			option("every,e", "TIME", "the time between two tables", "2s", parsed(&o.every, parseEvery)),
			option("rows,n", "NUMBER", "how many topics and connections at most", "10", parsed(&o.rows, parseRows)),
			toggle("once", "print one table, with the rates of that time, and end", &o.once),
			toggle("json,j", "print one JSON object a table", &o.json)),
		Action: e.untilSignal(func(ctx context.Context, arguments []string) error {
			if len(arguments) > 0 {
				return usageErr("top", "expected no argument, got %q; the server is given with --url", arguments)
			}
			options, err := o.options("top")
			if err != nil {
				return err
			}
			return o.run(ctx, options, newTopView(e.Stdout, o))
		}),
	}
}

func parseEvery(text string) (time.Duration, error) {
	every, err := config.ParseDuration(text)
	if err == nil && every < shortestTop {
		err = fmt.Errorf("expected %s or more, not %s", shortestTop, text)
	}
	return every, err //nolint:wrapcheck // the flag is named by the caller
}

func parseRows(text string) (n int, err error) {
	if _, err = fmt.Sscan(text, &n); err != nil || n < 1 || n > mostTopRows {
		return 0, fmt.Errorf("expected a number from 1 to %d, not %q", mostTopRows, text)
	}
	return n, nil
}

// run shows one table after the other. A connection that breaks is made again: a server that restarts is what people look at.
// The first one must succeed.
func (o *topOptions) run(ctx context.Context, options client.Options, view topView) error {
	conn, err := connect(ctx, options)
	if err != nil {
		return explainDialError("top", options, err)
	}
	defer func() { closeIfOpen(conn) }()
	tick := time.NewTicker(o.every)
	defer tick.Stop()
	for before := (*sample)(nil); ; {
		now, err := takeSample(conn)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (o.once || isRefusal(err)):
			return explainDialError("top", options, err)
		case err != nil:
			closeIfOpen(conn)
			if conn, err = o.again(ctx, options, tick, view, err); conn == nil {
				return err
			}
			before = nil
			continue
		}
		now.compare(before)
		if before != nil || !o.once {
			if err := view.show(now.shortened(o.rows)); err != nil || o.once {
				return unlessClosed(err)
			}
		}
		before = now
		if !awaitTick(ctx, tick) {
			return nil
		}
	}
}

// again connects once more at each tick, and shows why there is nothing to show. It returns nil once a signal has come, the reader of
// the output is gone, or the server refuses.
func (o *topOptions) again(ctx context.Context, options client.Options, tick *time.Ticker, view topView, err error) (*serverConn, error) {
	for {
		if err := view.fail(explainDialError("top", options, err)); err != nil {
			return nil, unlessClosed(err)
		}
		if !awaitTick(ctx, tick) {
			return nil, nil //nolint:nilnil // a signal is no error
		}
		var conn *serverConn
		if conn, err = connect(ctx, options); err == nil {
			return conn, nil
		}
		if isRefusal(err) {
			return nil, explainDialError("top", options, err)
		}
	}
}

// awaitTick returns false once a signal has come.
func awaitTick(ctx context.Context, tick *time.Ticker) bool {
	select {
	case <-tick.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// isRefusal reports whether the server has replied with an error: the next attempt would get it again.
func isRefusal(err error) bool { return errors.As(err, new(*client.Error)) }

func closeIfOpen(c *serverConn) {
	if c != nil {
		_ = c.Close() // nothing is read any more
	}
}

// topView shows samples in one of the forms.
type topView interface {
	show(s *sample) error
	// fail shows why there is no sample.
	fail(err error) error
}

func newTopView(out io.Writer, o *topOptions) topView {
	switch file, ok := out.(*os.File); {
	case o.json:
		return jsonTop{json.NewEncoder(out)}
	case ok && isTerminal(out) && !o.once:
		return &terminalTop{out: out, size: func() (width, height int) {
			width, height, err := term.GetSize(int(file.Fd())) //nolint:gosec // a descriptor
			if err != nil || width < 1 || height < 1 {
				return 80, 24
			}
			return width, height
		}}
	}
	return plainTop{out}
}

// jsonTop writes one object a sample.
type jsonTop struct{ out *json.Encoder }

func (t jsonTop) show(s *sample) error { return t.out.Encode(s) } //nolint:wrapcheck // unlessClosed does
func (t jsonTop) fail(err error) error {
	return t.out.Encode(map[string]string{"error": err.Error()}) //nolint:wrapcheck // as above
}

// plainTop writes one table a sample, with an empty line behind it.
type plainTop struct{ out io.Writer }

func (t plainTop) show(s *sample) error {
	_, err := io.WriteString(t.out, s.table(0, 0)+"\n")
	return err //nolint:wrapcheck // unlessClosed does
}

func (t plainTop) fail(err error) error {
	_, err = fmt.Fprintf(t.out, "%s\n\n", err)
	return err //nolint:wrapcheck // as above
}
