package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
)

// manPage is the template of a manual page, over the same command as the template of the help.
const manPage = `.TH {{page .FullName | upper}} 1 "" "conch {{.Root.Version}}"
.nh
.SH NAME
{{page .FullName}} \- {{roff .Usage}}
.SH SYNOPSIS
{{if .UsageText}}{{roff .UsageText}}{{else}}{{roff .FullName}} [options] {{roff .ArgsUsage}}{{end}}
.SH DESCRIPTION
{{range paragraphs .Description}}{{.}}
{{end}}{{if .VisibleCommands}}.SH COMMANDS
{{range .VisibleCommands}}.TP
.B {{roff .FullName}}
{{roff .Usage}}
{{end}}{{end}}.SH OPTIONS
{{range .VisibleFlags}}.TP
{{flag .String}}
{{end}}`

var roffEscapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'")

// paragraphs are those of a description. Prose is filled: all its lines but the last are long. Examples and tables are not.
func paragraphs(text string) (all []string) {
	for p := range strings.SplitSeq(text, "\n\n") {
		lines, lead, end := strings.Split(p, "\n"), ".PP\n", ""
		if slices.ContainsFunc(lines[:len(lines)-1], func(line string) bool { return len(line) < 80 }) {
			lead, end = ".PP\n.nf\n", "\n.fi"
		}
		all = append(all, lead+roffEscapes.Replace(p)+end)
	}
	return all
}

// manCommand is conch man.
func (e *Env) manCommand() *cli.Command {
	flag := func(line string) string {
		name, usage, _ := strings.Cut(line, "\t")
		return ".B " + roffEscapes.Replace(name) + "\n" + roffEscapes.Replace(usage)
	}
	page := func(name string) string { return strings.ReplaceAll(name, " ", `\-`) }
	functions := map[string]any{"roff": roffEscapes.Replace, "flag": flag, "upper": strings.ToUpper, "page": page, "paragraphs": paragraphs}
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
			for _, name := range cmd.Args().Slice() { // conch man log verify
				if page = page.Command(name); page == nil {
					return usageErr("man", "no manual page for %q; conch help lists the subcommands", name)
				}
			}
			cli.HelpPrinterCustom(cmd.Root().Writer, manPage, page, functions)
			return nil
		},
	}
}
