package cli

import (
	"context"
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
)

// scripts are our own. Those of the library evaluate the line: a TAB would run a command substitution.
//
//go:embed completion
var scripts embed.FS

var shells = []string{"bash", "zsh", "fish", "powershell"}

const completionText = `bash          source <(conch completion bash)      in ~/.bashrc
zsh           source <(conch completion zsh)       in ~/.zshrc, behind compinit
fish          conch completion fish > ~/.config/fish/completions/conch.fish
PowerShell    conch completion powershell > conch.ps1       and ". ./conch.ps1" in $PROFILE`

// completionCommand is conch completion. The library makes the command, this sets its content.
func (e *Env) completionCommand(c *cli.Command) {
	e.prepare(c)
	c.Hidden, c.Usage, c.ArgsUsage, c.Description = false, "print a completion script", strings.Join(shells, "|"), completionText
	c.Commands, c.ShellComplete = nil, e.complete(func(context.Context, string) []string { return shells })
	c.Action = func(_ context.Context, cmd *cli.Command) error {
		script, err := scripts.ReadFile("completion/conch." + cmd.Args().First())
		if cmd.NArg() != 1 || err != nil {
			return usageErr("completion", "expected the name of a shell: bash, zsh, fish or powershell")
		}
		_, _ = cmd.Root().Writer.Write(script) // Run has its error
		return nil
	}
}

// candidates are the values that may stand at the cursor, where word is.
type candidates func(ctx context.Context, word string) []string

// completeVariable has the word at the cursor when a script requests candidates.
const completeVariable = "CONCH_COMPLETE"

// complete prints candidates for the word at the cursor: each with a tab and its meaning, if it has one. arguments are
// those for arguments of the command.
func (e *Env) complete(arguments candidates) cli.ShellCompleteFunc {
	return func(ctx context.Context, cmd *cli.Command) {
		word, _ := e.LookupEnv(completeVariable)
		flags, args := cmd.Flags, cmd.Args().Slice()
		if cmd == cmd.Root() {
			flags = append(slices.Clip(cmd.Command(serve).Flags), flags...)
		}
		last, lead := "", ""
		if name, _, isWhole := strings.Cut(word, "="); isWhole { // --flag=value
			last, lead = name, name+"="
		} else if len(args) > 0 {
			last = args[len(args)-1]
		}
		var found []string
		switch f := flagNamed(flags, last); {
		case strings.HasPrefix(last, "-") && f != nil && (lead != "" || !valueOf(f).alone):
			for _, choice := range valueOf(f).choices {
				found = append(found, lead+choice)
			}
		case strings.HasPrefix(word, "-") && !slices.Contains(args, "--"):
			for _, f := range flags {
				found = append(found, "--"+f.Names()[0]+"\t"+f.(cli.DocGenerationFlag).GetUsage())
			}
		case len(cmd.Commands) > 0 && len(args) == 0:
			for _, c := range cmd.Commands {
				found = append(found, c.Name+"\t"+c.Usage)
			}
		case arguments != nil:
			for _, f := range flags {
				_ = f.PostParse() // the server may be named in the environment
			}
			found = arguments(ctx, word)
		}
		for _, c := range found {
			if strings.HasPrefix(c, word) {
				_, _ = fmt.Fprintln(cmd.Root().Writer, c) // Run has its error
			}
		}
	}
}
