package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/store"
)

const logText = `conch log verify /var/lib/conch                    read all of it, and print what is damaged
conch log dump --stream 'orders.*' /var/lib/conch  entries as JSON, one a line
conch log stats /var/lib/conch
conch log backup /backup/conch                     of the conch that --url names; the folder is on its machine
conch log backup /var/lib/conch /backup/conch      of a directory that no conch uses
conch log restore /backup/conch /var/lib/conch

verify, dump and stats write nothing. They take the directory of a conch that runs, too, up to its last sync.`

// logCommand is conch log.
func (e *Env) logCommand() *cli.Command {
	c := &cli.Command{
		Name: "log", Usage: "check, dump, back up and restore the directory of streams", Description: logText,
		Commands: []*cli.Command{
			e.logVerifyCommand(), e.logDumpCommand(), e.logStatsCommand(), e.logBackupCommand(), e.logRestoreCommand(), e.logCompactCommand(),
			e.logStatusCommand(),
		},
	}
	var names []string
	for _, sub := range c.Commands {
		e.prepare(sub)
		names = append(names, sub.Name)
	}
	c.Action = func(_ context.Context, cmd *cli.Command) error {
		if word := cmd.Args().First(); word != "" {
			return usageErr("log", "unknown subcommand %s%s", config.QuoteIfNeeded(word), config.Suggest("", word, names))
		}
		return usageErr("log", "expected a subcommand: %s", strings.Join(names, ", "))
	}
	return c
}

// storeFlags are the flags of all subcommands that open a directory.
type storeFlags struct{ key, oldKey string }

// flags are those of conch serve, which has them in its settings.
func (f *storeFlags) flags(e *Env) []cli.Flag {
	return []cli.Flag{
		e.orVariable(option("encrypt-key-file", "FILE", "the key of the directory, if it is encrypted", "", parsed(&f.key, anyText))),
		e.orVariable(option("encrypt-old-key-file", "FILE", "its former key, while files have that", "", parsed(&f.oldKey, anyText))),
	}
}

// options are those of opening a directory.
func (f *storeFlags) options(dir string) store.Options {
	return store.Options{Dir: dir, KeyFile: f.key, OldKeyFile: f.oldKey}
}

// openDirectory opens a directory to read it.
func (f *storeFlags) openDirectory(dir string) (*store.Store, error) {
	return store.OpenReadOnly(f.options(dir)) //nolint:wrapcheck // it names the directory
}

// arguments checks how many arguments there are.
func arguments(name, usage string, got []string, least, most int) error {
	if len(got) < least || len(got) > most {
		return usageErr(name, "expected %s, got %d arguments", usage, len(got))
	}
	return nil
}

// byteBar shows on a terminal how many bytes are done. A nil one shows nothing.
type byteBar struct {
	bar   *progressbar.ProgressBar
	after time.Time
	total int64
}

// newByteBar makes a bar, unless out is no terminal.
func newByteBar(out io.Writer, what string) *byteBar {
	if !isTerminal(out) {
		return nil
	}
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(what), progressbar.OptionShowBytes(true),
		progressbar.OptionSetWidth(20), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetSpinnerChangeInterval(0)) // otherwise the bar starts a goroutine
	return &byteBar{bar: bar, after: time.Now().Add(moment)}
}

// set shows how far it is.
func (b *byteBar) set(done, total int64) {
	if b == nil || time.Now().Before(b.after) {
		return
	}
	if total != b.total {
		b.total = total
		b.bar.ChangeMax64(total)
	}
	_ = b.bar.Set64(done) // the work goes on without a bar
}

// end removes the bar.
func (b *byteBar) end() {
	if b != nil && b.total > 0 {
		_ = b.bar.Finish() // as above
	}
}

// inBytes is a size as people read it.
func inBytes(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	value, i := float64(n), 0
	for value >= 1024 && i < len(units)-1 {
		value, i = value/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[i])
}
