package cli

import (
	"context"
	_ "embed" // the script
	"io"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/internal/config"
)

// bashScript is our own. The script of the library evaluates the line: a TAB would run a command substitution, or empty
// the file behind a >. It also needs the package bash-completion.
//
//go:embed completion.bash
var bashScript string

// completionHelp is what conch completion --help prints.
const completionHelp = `conch completion prints what makes a shell complete conch's commands and flags.

Usage: conch completion bash|zsh|fish

  bash    source <(conch completion bash)      in ~/.bashrc
  zsh     source <(conch completion zsh)       in ~/.zshrc, behind compinit
  fish    conch completion fish > ~/.config/fish/completions/conch.fish
`

// completion is the subcommand: conch completion.
func completion(ctx context.Context, e *Env) error {
	arguments, help, err := readOptions("completion", []option[struct{}]{}, &struct{}{}, e.Args, e.LookupEnv)
	switch {
	case err != nil:
		return err
	case help:
		return answer(e.Stdout, completionHelp)
	case len(arguments) != 1:
		return subcommandUsageErr("completion", "expected the name of a shell: bash, zsh or fish")
	}
	switch shell := arguments[0]; shell {
	case "bash":
		return answer(e.Stdout, bashScript)
	case "zsh", "fish":
		return completionTree(e.Stdout).Run(ctx, []string{"conch", "completion", shell})
	default:
		return subcommandUsageErr("completion", "no script for %s: expected bash, zsh or fish", config.QuoteIfNeeded(shell))
	}
}

// completionFlag stands last when a shell requests completions.
const completionFlag = "--generate-shell-completion"

func isCompletionRequest(args []string) bool {
	return len(args) > 1 && args[len(args)-1] == completionFlag
}

// complete prints the completions of the words before completionFlag.
func complete(args []string, stdout io.Writer) error {
	return completionTree(stdout).Run(context.Background(), args)
}

// completionTree is the whole command line as commands of the flag library. It only completes.
func completionTree(stdout io.Writer) *cli.Command {
	own := func(name, usage string, alone bool) cli.Flag { // not inherited by subcommands
		return &cli.GenericFlag{Name: name, Usage: usage, Value: &flagValue{boolFlag: alone}, Local: true}
	}
	flags := []cli.Flag{
		own("help", "print this", true), own("version", "print the version", true),
		own("config", "read settings from this TOML file", false),
	}
	for _, r := range config.Settings() {
		flags = append(flags, own(r.Name, r.Usage, r.BoolFlag))
	}
	root := silentCommand("conch", flags)
	root.EnableShellCompletion = true
	root.Writer, root.ErrWriter = stdout, io.Discard
	root.ConfigureShellCompletionCommand = func(c *cli.Command) { // the library adds this command
		c.Hidden = false
		c.Commands = slices.DeleteFunc(c.Commands, func(shell *cli.Command) bool { return shell.Name == "pwsh" })
	}
	for _, s := range subcommands() {
		if s.name != "completion" {
			c := silentCommand(s.name, longOnly(s.flags()))
			c.Usage = s.usage
			root.Commands = append(root.Commands, c)
		}
	}
	return root
}

// longOnly removes the letters: the library takes --r for -r, and would not complete it to --raw.
func longOnly(flags []cli.Flag) []cli.Flag {
	for _, f := range flags {
		if g, ok := f.(*cli.GenericFlag); ok {
			g.Aliases = nil
		}
	}
	return flags
}
