package cli

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/daemon"
)

const connectText = `conch connect check conch.toml          the sources and sinks of a file, without connecting
conch connect check --dial conch.toml   connect each of them once, and close the connection

An error has the file, the line and the column. With --dial the status is 1 if one could not connect. A program that is a
source or a sink is started then; nothing is read, written or acknowledged.`

// connectCommand is conch connect.
func (e *Env) connectCommand() *cli.Command {
	check := e.connectCheckCommand()
	e.prepare(check)
	return &cli.Command{
		Name: "connect", Usage: "check the sources and sinks of a configuration file", Description: connectText, Commands: []*cli.Command{check},
		Action: func(_ context.Context, cmd *cli.Command) error {
			if word := cmd.Args().First(); word != "" {
				return usageErr("connect", "unknown subcommand %s%s", config.QuoteIfNeeded(word), config.Suggest("", word, []string{check.Name}))
			}
			return usageErr("connect", "expected a subcommand: %s", check.Name)
		},
	}
}

// connectCheckCommand is conch connect check.
func (e *Env) connectCheckCommand() *cli.Command {
	dial := false
	return &cli.Command{
		Name: "check", Usage: "check the connectors of a file", ArgsUsage: "FILE", Description: connectText,
		Flags: []cli.Flag{toggle("dial", "connect each of them once", &dial)},
		Action: e.untilSignal(func(ctx context.Context, args []string) error {
			if err := arguments("connect check", "a file", args, 1, 1); err != nil {
				return err
			}
			settings, err := config.Load(config.CommandLine{Flags: map[string]string{"config": args[0]}}, e.LookupEnv)
			if err != nil {
				return usageErr("connect check", "%w", err)
			}
			checks, err := daemon.CheckConnectors(ctx, settings, dial)
			if err != nil {
				return err
			}
			return e.printChecks(checks, dial)
		}),
	}
}

// printChecks prints a line for each connector.
func (e *Env) printChecks(checks []daemon.ConnectorCheck, dialed bool) error {
	if len(checks) == 0 {
		_, err := fmt.Fprintln(e.Stdout, "the file is valid, and has neither a source nor a sink")
		return unlessClosed(err)
	}
	failed := 0
	for _, c := range checks {
		outcome := "valid"
		switch {
		case c.Err != nil:
			failed++
			outcome = "cannot connect: " + c.Err.Error()
		case dialed:
			outcome = "connected"
		}
		if _, err := fmt.Fprintf(e.Stdout, "%s %s, %s: %s\n", c.Direction, c.Name, c.URL, outcome); err != nil {
			return unlessClosed(err)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d connectors cannot connect", failed, len(checks))
	}
	return nil
}
