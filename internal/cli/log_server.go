package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/client"
)

const backupText = `conch log backup /backup/conch                  of the conch that --url names
conch log backup /var/lib/conch /backup/conch   of a directory that no conch uses

The folder of the first form is on the machine of that conch. The next backup into the same folder copies only what is new. It
replaces the one before once it is whole; one that is interrupted leaves that as it is, and is gone on with.

`

// logBackupCommand is conch log backup.
func (e *Env) logBackupCommand() *cli.Command {
	o, f := &doOptions{}, &storeFlags{}
	return &cli.Command{
		Name: "backup", Usage: "back up a conch that runs, or a directory", ArgsUsage: "[DIR] FOLDER", Description: backupText + serverText,
		Flags: append(o.flags(e), f.flags(e)...),
		Action: e.untilSignal(func(ctx context.Context, args []string) error {
			if err := arguments("log backup", "a folder, or a directory and a folder", args, 1, 2); err != nil {
				return err
			}
			if len(args) == 2 {
				return e.backupDirectory(ctx, f, args[0], args[1])
			}
			return o.withServer(ctx, "log backup", func(c *serverConn) error { return e.backupServer(ctx, c, args[0]) })
		}),
	}
}

// logCompactCommand is conch log compact.
func (e *Env) logCompactCommand() *cli.Command {
	o := &doOptions{}
	return &cli.Command{
		Name: "compact", Usage: "let a conch that runs give back the space of deleted entries now", Description: serverText, Flags: o.flags(e),
		Action: e.untilSignal(func(ctx context.Context, args []string) error {
			if err := arguments("log compact", "no argument", args, 0, 0); err != nil {
				return err
			}
			return o.withServer(ctx, "log compact", func(c *serverConn) error { return c.discard([]string{"LOG", "COMPACT"}) })
		}),
	}
}

// logStatusCommand is conch log status.
func (e *Env) logStatusCommand() *cli.Command {
	o := &doOptions{}
	return &cli.Command{
		Name: "status", Usage: "print how the log and the last backup of a conch that runs do", Description: serverText,
		Flags: append(o.flags(e), toggle("json,j", "print one JSON object", &o.json)),
		Action: e.untilSignal(func(ctx context.Context, args []string) error {
			if err := arguments("log status", "no argument", args, 0, 0); err != nil {
				return err
			}
			return o.execute(ctx, e, []string{"LOG", "STATUS"})
		}),
	}
}

// withServer calls f with a connection.
func (o *doOptions) withServer(ctx context.Context, name string, f func(c *serverConn) error) error {
	options, err := o.options(name)
	if err != nil {
		return err
	}
	c, err := connect(ctx, options)
	if err == nil {
		defer func() { _ = c.Close() }() // the reply has come
		err = f(c)
	}
	if err != nil {
		return explainDialError(name, options, err)
	}
	return nil
}

// pollBackup is how often the status of a backup is read.
const pollBackup = 200 * time.Millisecond

// backupServer begins a backup, and waits for its end.
func (e *Env) backupServer(ctx context.Context, c *serverConn, path string) error {
	if err := c.discard([]string{"LOG", "BACKUP", path}); err != nil {
		return err
	}
	wait := time.NewTicker(pollBackup)
	defer wait.Stop()
	bar := newByteBar(e.Stderr, "backed up")
	defer bar.end()
	for {
		status, err := c.fields([]string{"LOG", "STATUS"})
		switch {
		case err != nil:
			return err
		case status["backup_path"] != path:
			return fmt.Errorf("another backup, into %s, began meanwhile", status["backup_path"])
		case status["backup_state"] == "failed":
			return &client.Error{Code: client.CodeErr, Text: status["backup_error"]}
		case status["backup_state"] == "done":
			bar.end()
			_, err := fmt.Fprintf(e.Stdout, "backed up %s files into %s, up to the sequence number %s: %s copied, %s linked\n", status["backup_files"], path,
				status["backup_last_sequence"], status["backup_copied_files"], status["backup_linked_files"])
			return unlessClosed(err)
		}
		done, _ := strconv.ParseInt(status["backup_bytes"], 10, 64) // a bar that shows less
		all, _ := strconv.ParseInt(status["bytes"], 10, 64)
		bar.set(done, max(done, all))
		select {
		case <-wait.C:
		case <-ctx.Done():
			_, _ = fmt.Fprintln(e.Stderr, "the backup goes on; conch log status shows how far it is")
			return ctx.Err() //nolint:wrapcheck // a signal
		}
	}
}

// fields sends a command whose reply is a map of texts.
func (c *serverConn) fields(command []string) (map[string]string, error) {
	if err := c.send(command); err != nil {
		return nil, err
	}
	m := &fieldCollector{fields: make(map[string]string)}
	return m.fields, printReply(c.r, m)
}

// fieldCollector keeps names and values.
type fieldCollector struct {
	discardPrinter
	fields map[string]string
	name   string
}

func (f *fieldCollector) scalar(it item, at place) {
	if at.isKey || at.within != '%' && at.index%2 == 0 {
		f.name = string(it.text)
	} else {
		f.fields[f.name] = string(it.text)
	}
}
