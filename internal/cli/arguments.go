package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/internal/config"
)

// parse reads the settings of the daemon. It returns nil after it has answered --help or --version.
func parse(e *Env) (*config.Config, error) {
	line, answered, err := readArguments(e)
	if err != nil || answered {
		return nil, err
	}
	c, err := config.Load(line, e.LookupEnv)
	if err != nil {
		return nil, usageErr("%w", err)
	}
	c.Server.Version = e.Version
	return c, nil
}

// flagValue keeps the value of a flag as text. Package config parses it later, so that errors have the same words for
// flags, environment and file.
type flagValue struct {
	text     string
	all      []string // values of a repeated flag; text is the last one
	isSet    bool
	boolFlag bool
}

// Set, String, Get and IsBoolFlag implement the interface of the flag library.
func (v *flagValue) Set(text string) error {
	v.text, v.all, v.isSet = text, append(v.all, text), true
	return nil
}
func (v *flagValue) String() string   { return v.text }
func (v *flagValue) Get() any         { return v.text }
func (v *flagValue) IsBoolFlag() bool { return v.boolFlag }

// readArguments takes the arguments apart. It answers --help and --version itself.
func readArguments(e *Env) (line config.CommandLine, answered bool, err error) {
	help, showVersion := flagValue{boolFlag: true}, flagValue{boolFlag: true}
	values := map[string]*flagValue{"config": {}}
	flags := []cli.Flag{
		&cli.GenericFlag{Name: "help", Aliases: []string{"h"}, Value: &help},
		&cli.GenericFlag{Name: "version", Aliases: []string{"v"}, Value: &showVersion},
		&cli.GenericFlag{Name: "config", Value: values["config"]},
	}
	for _, s := range config.Settings() {
		v := &flagValue{boolFlag: s.BoolFlag}
		values[s.Name] = v
		flags = append(flags, &cli.GenericFlag{Name: s.Name, Value: v})
	}
	line.Arguments, err = split(e.Args, flags, settingNames())
	switch {
	case err != nil:
		return line, false, usageErr("%w", err)
	case help.isSet:
		return line, true, answer(e.Stdout, helpText())
	case showVersion.isSet:
		return line, true, answer(e.Stdout, versionText(e.Version))
	}
	line.Flags = make(map[string]string)
	for name, v := range values {
		if v.isSet {
			line.Flags[name] = v.text
		}
	}
	return line, false, nil
}

// split uses the flag library to tell flags from arguments, and for nothing else. Left alone, the library prints its help
// at a mistake, and takes a wrong word for a subcommand. names are the flags that take a value.
func split(args []string, flags []cli.Flag, names []flagName) (arguments []string, err error) {
	command := silentCommand(args[0], flags)
	command.UseShortOptionHandling = true // -jn 1 is -j -n 1
	command.OnUsageError = func(_ context.Context, _ *cli.Command, err error, _ bool) error {
		return rewordFlagError(err, args, names)
	}
	command.Action = func(_ context.Context, command *cli.Command) error {
		arguments = command.Args().Slice()
		return nil
	}
	if err := command.Run(context.Background(), args); err != nil {
		return nil, err
	}
	return arguments, nil
}

// silentCommand is a command of the flag library that prints nothing by itself.
func silentCommand(name string, flags []cli.Flag) *cli.Command {
	return &cli.Command{
		Name:            name,
		HideHelp:        true,
		HideVersion:     true,
		HideHelpCommand: true,
		Flags:           flags,
		Writer:          io.Discard,
		ErrWriter:       io.Discard,
		ExitErrHandler:  func(context.Context, *cli.Command, error) {}, // only Run decides how the process ends
	}
}

func answer(stdout io.Writer, text string) error {
	if _, err := io.WriteString(stdout, text); err != nil {
		return fmt.Errorf("cannot write the answer: %w", err)
	}
	return nil
}

// flagName is a flag that takes a value, with an example of a value. letter is its short form; empty: none.
type flagName struct{ name, example, letter string }

func settingNames() []flagName {
	var names []flagName
	for _, s := range config.Settings() {
		names = append(names, flagName{name: s.Name, example: cmp.Or(s.Default, s.Value)})
	}
	return names
}

// rewordFlagError puts the errors of the flag library into our words. The library has no error types, so this matches
// texts, which the tests hold: a new version that changes one shows its own text, still in one line.
func rewordFlagError(err error, args []string, names []flagName) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		typed := dashes(name, args) + name
		long := make([]string, len(names))
		for i, k := range names {
			long[i] = k.name
		}
		return fmt.Errorf("unknown flag %s%s", config.QuoteIfNeeded(typed), cmp.Or(config.Suggest("--", name, long), suggestSpace(typed, names)))
	}
	if flag, ok := strings.CutPrefix(text, "flag needs an argument: "); ok {
		name := strings.TrimLeft(flag, "-")
		for _, k := range names {
			if k.name == name || k.letter == name {
				return fmt.Errorf("flag --%s needs a value, e.g. --%s %s", k.name, k.name, k.example)
			}
		}
		return fmt.Errorf("flag --%s needs a value", name)
	}
	return errors.New(text)
}

// dashes are the dashes typed before a name. The error of the library does not have them.
func dashes(name string, args []string) string {
	single := func(arg string) bool { before, _, _ := strings.Cut(arg, "="); return before == "-"+name }
	if slices.ContainsFunc(args, single) {
		return "-"
	}
	return "--"
}

// suggestSpace is a hint at a blank between a letter and its value, as in -n2.
func suggestSpace(typed string, names []flagName) string {
	for _, k := range names {
		if value, ok := strings.CutPrefix(typed, "-"+k.letter); ok && k.letter != "" {
			return fmt.Sprintf(" (did you mean -%s %s?)", k.letter, value)
		}
	}
	return ""
}
