package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/daemon"
)

// serve is the subcommand that runs when the line names none.
const serve = "serve"

// newRoot makes the command line of conch, which runs once. Texts of the library go to out.
func newRoot(e *Env, out io.Writer) *cli.Command {
	root := &cli.Command{
		Name: "conch", Usage: "a broker for publish, subscribe and streams, for Redis clients and for typed lines",
		UsageText: "conch [address] [settings], or conch subcommand ...", Description: rootText, Version: e.Version,
		DefaultCommand: serve, UseShortOptionHandling: true, // -jn 1 is -j -n 1
		Writer: out, ErrWriter: io.Discard, ExitErrHandler: func(context.Context, *cli.Command, error) {}, // Run prints errors
		OnUsageError:          func(_ context.Context, _ *cli.Command, err error, _ bool) error { return usageErr("", "%w", err) },
		EnableShellCompletion: true, ConfigureShellCompletionCommand: e.completionCommand, ShellComplete: e.complete(nil),
		Commands: []*cli.Command{
			e.serveCommand(), e.subCommand(), e.pubCommand(), e.doCommand(), e.pingCommand(), e.topCommand(), e.healthCommand(), e.benchCommand(), e.logCommand(), e.connectCommand(), e.clusterCommand(),
			{
				Name: "version", Usage: "print the version",
				Action: func(_ context.Context, cmd *cli.Command) error { cli.ShowVersion(cmd.Root()); return nil },
			},
			e.manCommand(),
		},
	}
	for _, c := range root.Commands {
		e.prepare(c)
	}
	return root
}

// prepare sets what the library does not inherit. Without HideHelpCommand, the topic of conch sub help is a subcommand.
func (e *Env) prepare(c *cli.Command) {
	c.HideHelpCommand, c.OnUsageError = true, e.explainUsage
	if c.ShellComplete == nil {
		c.ShellComplete = e.complete(nil)
	}
}

const rootText = `Without a subcommand, conch serves: "conch 127.0.0.1:7777" is "conch serve 127.0.0.1:7777".

conch                                    listen on port 8889, serve this machine
conch sub news                           print what comes to a topic
conch pub news "I'm a message!"          publish there
conch help sub                           all about a subcommand`

const serveText = `conch serve 127.0.0.1:7777                     listen there
conch serve --protected-mode=false             serve other machines too: behind a firewall
conch serve --config conch.toml --log-level debug
conch serve --check --config conch.toml        check the settings and the files that they name, and exit

Settings come from flags, then the environment, then the file, then the defaults. --max-line is CONCH_MAX_LINE in the
environment, and max-line = "64KiB" in the file. Sizes are bytes, or with a unit: 64KiB, 16mb, 1g; k, kb and KiB are all
1024. Times are 500ms, 60s, 5m; a plain number is seconds.

SIGINT and SIGTERM stop conch when connections have drained, a second one at once. SIGUSR1 lowers the log level by one;
after trace it returns to the configured level. SIGHUP reloads the TLS files, the ACL file, the log level and the connectors.`

// serveCommand is conch serve: a flag for each setting.
func (e *Env) serveCommand() *cli.Command {
	line, check := config.CommandLine{Flags: make(map[string]string)}, false
	keep := func(name string) func(string) error {
		return func(text string) error { line.Flags[name] = text; return nil }
	}
	c := &cli.Command{Name: serve, Usage: "serve clients", ArgsUsage: "[address]", Description: serveText}
	for _, s := range config.Settings() {
		f := option(s.Name, s.Value, s.Usage, s.Default, keep(s.Name), s.Choices...)
		f.Value.(*value).alone = s.BoolFlag
		c.Flags = append(c.Flags, f)
	}
	c.Flags = append(c.Flags, option("config", "FILE", "read settings from this TOML file", "", keep("config")),
		toggle("check", "check the settings and the files that they name, and exit", &check))
	c.Action = func(_ context.Context, cmd *cli.Command) error {
		if line.Arguments = cmd.Args().Slice(); len(line.Arguments) > 0 && len(e.Args) > 1 && e.Args[1] == line.Arguments[0] {
			if err := checkSubcommand(cmd.Root(), e.Args[1]); err != nil {
				return err
			}
		}
		settings, err := config.Load(line, e.LookupEnv)
		if err != nil {
			return usageErr(serve, "%w", err)
		}
		settings.Server.Version, settings.Unknown = e.Version, config.UnknownVariables(e.Environ)
		if check {
			return e.check(cmd.Root().Writer, settings)
		}
		return exitStatus(daemon.Serve(settings, e.Stderr, e.Signals))
	}
	return c
}

// checkSubcommand refuses a word that is neither a subcommand nor anything like an address.
func checkSubcommand(root *cli.Command, word string) error {
	if strings.ContainsAny(word, ":./[]0123456789@") || strings.HasPrefix(word, "-") || word == "" {
		return nil
	}
	names := []string{"help"}
	for _, c := range root.VisibleCommands() {
		names = append(names, c.Name)
	}
	return usageErr("", "unknown subcommand %s%s", config.QuoteIfNeeded(word), config.Suggest("", word, names))
}

// check is conch serve --check.
func (e *Env) check(out io.Writer, settings *config.Config) error {
	for _, name := range settings.Unknown {
		_, _ = fmt.Fprintf(e.Stderr, "conch: warning: unknown environment variable %s\n", name) // the status remains
	}
	if err := daemon.Check(settings); err != nil {
		return exitStatus(err)
	}
	_, _ = io.WriteString(out, "the settings are valid\n") // Run has its error
	return nil
}
