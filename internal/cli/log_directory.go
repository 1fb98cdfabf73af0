package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/internal/backup"
	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/store"
)

const verifyText = `It reads every file: the checksums of all records, indexes and checkpoints, the order of ids and sequence numbers, and whether
each entry that a checkpoint has is there. Each damage is a line with the file and the offset, and makes the exit status 1. The
folder of a backup is checked by the checksums of its manifest.`

// logVerifyCommand is conch log verify.
func (e *Env) logVerifyCommand() *cli.Command {
	f := &storeFlags{}
	return &cli.Command{
		Name: "verify", Usage: "check a directory, or a backup: exit status 0 or 1", ArgsUsage: "DIR", Description: verifyText, Flags: f.flags(e),
		Action: e.untilSignal(func(ctx context.Context, args []string) error {
			if err := arguments("log verify", "one directory", args, 1, 1); err != nil {
				return err
			}
			if _, err := backup.Read(args[0]); !errors.Is(err, backup.ErrNone) {
				return e.verifyBackup(ctx, args[0])
			}
			return e.verifyDirectory(ctx, f, args[0])
		}),
	}
}

func (e *Env) verifyDirectory(ctx context.Context, f *storeFlags, dir string) error {
	s, err := f.openDirectory(dir)
	if err != nil {
		return fmt.Errorf("log verify: %w", err)
	}
	defer func() { _ = s.Close(0) }() // it was read only
	bar := newByteBar(e.Stderr, "verified")
	v, err := s.Verify(func(fault store.Fault) {
		if fault.File != "" {
			_, _ = fmt.Fprintf(e.Stdout, "%s: offset %d: ", filepath.Join(dir, fault.File), fault.Offset) // the status remains
		}
		_, _ = fmt.Fprintln(e.Stdout, fault.What)
	}, func(done, total int64) error {
		bar.set(done, total)
		return ctx.Err()
	})
	bar.end()
	if err != nil {
		return fmt.Errorf("log verify: %w", err)
	}
	_, err = fmt.Fprintf(e.Stdout, "verified %s, %s: %s with %s, of which %s of %s are visible\n", plural(v.Segments, "segment"), inBytes(v.Bytes),
		plural(v.Records, "record"), plural(v.Entries, "entry"), fmt.Sprint(v.Visible), plural(v.Streams, "stream"))
	if v.Faults > 0 {
		return fmt.Errorf("log verify: %s is damaged in %s; restore it from a backup", dir, plural(v.Faults, "place"))
	}
	return unlessClosed(err)
}

// plural is a number and what is counted.
func plural[T int | int64](n T, what string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(what, "y"):
		what = strings.TrimSuffix(what, "y") + "ies"
	default:
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func (e *Env) verifyBackup(ctx context.Context, path string) error {
	m, err := backup.Read(path)
	if err != nil {
		return fmt.Errorf("log verify: %w", err)
	}
	bar := newByteBar(e.Stderr, "verified")
	err = backup.Check(ctx, path, m, e.damage(path), func(p backup.Progress) { bar.set(p.Bytes, p.AllBytes) })
	bar.end()
	if err != nil {
		return fmt.Errorf("log verify: %s: %w", path, err)
	}
	_, err = fmt.Fprintf(e.Stdout, "verified the backup of %s, up to the sequence number %d: %s, %s\n", m.Taken.Format(time.RFC3339), m.Sequence,
		plural(len(m.Files), "file"), inBytes(m.Bytes()))
	return unlessClosed(err)
}

// damage prints a damage of a backup.
func (e *Env) damage(path string) func(backup.Damage) {
	return func(d backup.Damage) {
		_, _ = fmt.Fprintf(e.Stdout, "%s: offset %d: %s\n", filepath.Join(path, d.File), d.Offset, d.What) // the status remains
	}
}

const dumpText = `conch log dump --stream 'orders.*' --from 2026-11-21T10:00:00Z --where 'price > 100' /var/lib/conch | jq .

Each line is an object: stream, id, position, and fields, which has names and values in turn. If one of these is no UTF-8, all of
them are in fields_base64. Deleted entries are left out, and so is what is damaged: that is a line on standard error, and makes
the exit status 1.`

// dumpFlags are those of conch log dump.
type dumpFlags struct {
	storeFlags
	store.DumpOptions
}

// logDumpCommand is conch log dump.
func (e *Env) logDumpCommand() *cli.Command {
	f := &dumpFlags{}
	return &cli.Command{
		Name: "dump", Usage: "print entries as JSON, one a line", ArgsUsage: "DIR", Description: dumpText,
		Flags: append(f.flags(e),
			option("stream,s", "GLOB", "only these streams; may be given several times", "all", func(text string) error {
				f.Streams = append(f.Streams, text)
				return nil
			}),
			option("from", "PLACE", "begin there: an id, a position (EPOCH-123, #123) or a time (-5m, 2026-11-21T10:00:00Z)", "the oldest", parsed(&f.From, anyText)),
			option("to", "PLACE", "end there; it is included", "the newest", parsed(&f.To, anyText)),
			option("where,w", "EXPR", "only entries for which this holds", "", parsed(&f.Where, anyText))),
		Action: e.untilSignal(func(ctx context.Context, args []string) error {
			if err := arguments("log dump", "one directory", args, 1, 1); err != nil {
				return err
			}
			return e.dump(ctx, f, args[0])
		}),
	}
}

func (e *Env) dump(ctx context.Context, f *dumpFlags, dir string) error {
	s, err := f.openDirectory(dir)
	if err != nil {
		return fmt.Errorf("log dump: %w", err)
	}
	defer func() { _ = s.Close(0) }() // it was read only
	faults := 0
	f.Now = time.Now()
	f.Damage = func(fault store.Fault) {
		faults++
		_, _ = fmt.Fprintf(e.Stderr, "%s: offset %d: %s\n", filepath.Join(dir, fault.File), fault.Offset, fault.What) // the status remains
	}
	out := bufio.NewWriterSize(writerUntil{ctx, e.Stdout}, 64<<10)
	_, err = s.Dump(out, f.DumpOptions)
	if flushed := out.Flush(); flushed != nil {
		return unlessClosed(flushed)
	}
	if err == nil && faults > 0 {
		err = fmt.Errorf("%s left out, because of damage", plural(faults, "record"))
	}
	if err != nil {
		return fmt.Errorf("log dump: %w", err)
	}
	return nil
}

// writerUntil fails once a context has ended.
type writerUntil struct {
	ctx context.Context //nolint:containedctx // it lives as long as the call
	io.Writer
}

func (w writerUntil) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err //nolint:wrapcheck // a signal
	}
	return w.Writer.Write(p) //nolint:wrapcheck // by the subcommand
}

// statsFlags are those of conch log stats.
type statsFlags struct {
	storeFlags
	largest int
	json    bool
}

// logStatsCommand is conch log stats.
func (e *Env) logStatsCommand() *cli.Command {
	f := &statsFlags{largest: 10}
	return &cli.Command{
		Name: "stats", Usage: "print what a directory has", ArgsUsage: "DIR",
		Flags: append(f.flags(e), option("streams", "NUMBER", "how many of the largest streams to list", "10", parsed(&f.largest, config.ParseCount)),
			toggle("json,j", "print one JSON object", &f.json)),
		Action: e.untilSignal(func(_ context.Context, args []string) error {
			if err := arguments("log stats", "one directory", args, 1, 1); err != nil {
				return err
			}
			s, err := f.openDirectory(args[0])
			if err != nil {
				return fmt.Errorf("log stats: %w", err)
			}
			defer func() { _ = s.Close(0) }() // it was read only
			d, err := s.DirectoryStats(f.largest)
			if err != nil {
				return fmt.Errorf("log stats: %w", err)
			}
			if f.json {
				return unlessClosed(json.NewEncoder(e.Stdout).Encode(d))
			}
			return unlessClosed(printStats(e.Stdout, &d))
		}),
	}
}

// printStats prints what a directory has, for people.
func printStats(out io.Writer, d *store.DirectoryStats) error {
	w := bufio.NewWriter(out)
	row := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(w, "%-14s "+format+"\n", append([]any{name}, args...)...)
	} // Flush has the error
	end := "unclean: a crash, or a conch that runs"
	if d.Clean {
		end = "clean"
	}
	row("end", "%s", end)
	if d.CutBytes > 0 {
		row("", "%s of a write that was not whole; the next start removes them", inBytes(d.CutBytes))
	}
	for _, damage := range d.Damages {
		row("damage", "%s: offset %d: %s", damage.File, damage.Offset, damage.Lost())
	}
	row("segments", "%d, %s, of which %s are visible", d.Segments, inBytes(d.Bytes), inBytes(d.Visible))
	row("checkpoints", "%d, %s", d.Checkpoints, inBytes(d.CheckpointBytes))
	row("last record", "%d; a start applies %d", d.LastRecord, d.LastRecord+1-d.FirstRecord)
	row("last sequence", "%d", d.Sequence)
	row("last time", "%s", time.UnixMilli(d.Time).UTC().Format(time.RFC3339))
	row("epochs", "%d; the last are %s", len(d.Epochs), strings.Join(d.Epochs[max(0, len(d.Epochs)-3):], ", "))
	row("streams", "%d, %s in memory", d.Streams, inBytes(d.Memory))
	row("entries", "%d", d.Entries)
	for _, s := range d.Largest {
		row("", "%d in %q, from %s to %s", s.Entries, s.Name, s.First, s.Last)
	}
	return w.Flush() //nolint:wrapcheck // by the subcommand
}

const restoreText = `It reads all of the backup first: with damage, nothing is restored. DIR is empty, or does not exist. The next start of conch on it
begins a new epoch, since positions behind the backup are unknown. A restore that is interrupted leaves a directory that no conch
opens; restore into it again.`

// logRestoreCommand is conch log restore.
func (e *Env) logRestoreCommand() *cli.Command {
	return &cli.Command{
		Name: "restore", Usage: "copy a backup into an empty directory", ArgsUsage: "BACKUP DIR", Description: restoreText,
		Action: e.untilSignal(func(ctx context.Context, args []string) error {
			if err := arguments("log restore", "a backup and a directory", args, 2, 2); err != nil {
				return err
			}
			bar := newByteBar(e.Stderr, "restored")
			m, err := backup.Restore(ctx, args[0], args[1], e.damage(args[0]), func(p backup.Progress) { bar.set(p.Bytes, p.AllBytes) })
			bar.end()
			if err != nil {
				return fmt.Errorf("log restore: %w", err)
			}
			_, err = fmt.Fprintf(e.Stdout, "restored %s, %s, of %s, up to the sequence number %d; to serve it: conch --dir %s\n", plural(len(m.Files), "file"),
				inBytes(m.Bytes()), m.Taken.Format(time.RFC3339), m.Sequence, args[1])
			return unlessClosed(err)
		}),
	}
}

// backupDirectory makes the backup of a directory that no conch uses.
func (e *Env) backupDirectory(ctx context.Context, f *storeFlags, dir, path string) error {
	o := f.options(dir)
	o.Version = e.Version
	bar := newByteBar(e.Stderr, "copied")
	r, damages, err := store.BackupDirectory(ctx, o, path, func(p backup.Progress) { bar.set(p.Bytes, p.AllBytes) })
	bar.end()
	for _, d := range damages {
		_, _ = fmt.Fprintf(e.Stderr, "conch: warning: %s: offset %d: %s\n", filepath.Join(dir, d.File), d.Offset, d.Lost()) // the status remains
	}
	if err != nil {
		return fmt.Errorf("log backup: %w", err)
	}
	_, err = fmt.Fprintf(e.Stdout, "backed up %s into %s, up to the sequence number %d: %d new, %s\n", plural(len(r.Manifest.Files), "file"), path,
		r.Manifest.Sequence, r.Copied+r.Linked, inBytes(r.Written))
	return unlessClosed(err)
}
