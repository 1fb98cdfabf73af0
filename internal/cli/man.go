package cli

import (
	"context"
	"strings"

	"github.com/urfave/cli/v3"
)

// manPage is the template of a manual page, over the same command as the template of the help.
const manPage = `.TH {{page .FullName | upper}} 1 "" "conch {{.Root.Version}}"
.SH NAME
{{page .FullName}} \- {{roff .Usage}}
.SH SYNOPSIS
{{if .UsageText}}{{roff .UsageText}}{{else}}{{roff .FullName}} [options] {{roff .ArgsUsage}}{{end}}
.SH DESCRIPTION
.nf
{{roff .Description}}
.fi
{{if .VisibleCommands}}.SH COMMANDS
{{range .VisibleCommands}}.TP
.B {{roff .FullName}}
{{roff .Usage}}
{{end}}{{end}}.SH OPTIONS
{{range .VisibleFlags}}.TP
{{flag .String}}
{{end}}`

var roffEscapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'")

// manCommand is conch man.
func (e *Env) manCommand() *cli.Command {
	flag := func(line string) string {
		name, usage, _ := strings.Cut(line, "\t")
		return ".B " + roffEscapes.Replace(name) + "\n" + roffEscapes.Replace(usage)
	}
	page := func(name string) string { return strings.ReplaceAll(name, " ", `\-`) }
	functions := map[string]any{"roff": roffEscapes.Replace, "flag": flag, "upper": strings.ToUpper, "page": page}
	names := func(_ context.Context, _ string) (all []string) {
		for _, c := range newRoot(e, e.Stdout).VisibleCommands() {
			all = append(all, c.Name)
		}
		return all
	}
	return &cli.Command{
		Name: "man", Usage: "print the manual page of conch or of a subcommand", ArgsUsage: "[subcommand]",
		Description: "conch man sub | man -l -", ShellComplete: e.complete(names),
		Action: func(_ context.Context, cmd *cli.Command) error {
			page := cmd.Root()
			if cmd.NArg() > 0 {
				if page = cmd.Root().Command(cmd.Args().First()); page == nil {
					return usageErr("man", "no manual page for %q; conch help lists the subcommands", cmd.Args().First())
				}
			}
			cli.HelpPrinterCustom(cmd.Root().Writer, manPage, page, functions)
			return nil
		},
	}
}
