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

// parse reads the command line of conch, and what is behind it: the settings. It returns none when it has answered on
// stdout all that was asked.
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

// flagValue keeps what was written after a flag as it is. The table reads it later, together with the values from
// elsewhere, so that a wrong value is called wrong in the same words wherever it comes from.
type flagValue struct {
	text     string
	all      []string // of a flag that was given several times; text is the last
	isSet    bool
	boolFlag bool
}

// Set, String, Get and IsBoolFlag are what the flag parser asks for.
func (v *flagValue) Set(text string) error {
	v.text, v.all, v.isSet = text, append(v.all, text), true
	return nil
}
func (v *flagValue) String() string   { return v.text }
func (v *flagValue) Get() any         { return v.text }
func (v *flagValue) IsBoolFlag() bool { return v.boolFlag }

// readArguments takes the arguments apart, and answers --help and --version, which leave nothing else to do.
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

// split has the flag library tell flags from arguments, and nothing else. At a mistake it would print help, a
// screenful in which the mistake drowns; so it may not print, it has no help of its own, and no subcommands that a
// wrong word could be. names are the flags that take a value.
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
		ExitErrHandler:  func(context.Context, *cli.Command, error) {}, // only run decides how the process ends
	}
}

func answer(stdout io.Writer, text string) error {
	if _, err := io.WriteString(stdout, text); err != nil {
		return fmt.Errorf("cannot write the answer: %w", err)
	}
	return nil
}

// flagName is the name of something that takes a value, and an example of one. Letter is its short form, or empty; so it is
// where no value may stand behind the letter.
type flagName struct{ name, example, letter string }

func settingNames() []flagName {
	var names []flagName
	for _, s := range config.Settings() {
		names = append(names, flagName{name: s.Name, example: cmp.Or(s.Default, s.Value)})
	}
	return names
}

// rewordFlagError puts the library's findings into our words. It gives them as text alone, and those texts are held by the
// tests: when a new version of the library changes one, the user still gets one line, but the library's.
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

// dashes are those that were typed in front of a name: the library forgets how many there were.
func dashes(name string, args []string) string {
	single := func(arg string) bool { before, _, _ := strings.Cut(arg, "="); return before == "-"+name }
	if slices.ContainsFunc(args, single) {
		return "-"
	}
	return "--"
}

// suggestSpace says how a value is given behind a letter, if that was probably meant: -n2.
func suggestSpace(typed string, names []flagName) string {
	for _, k := range names {
		if value, ok := strings.CutPrefix(typed, "-"+k.letter); ok && k.letter != "" {
			return fmt.Sprintf(" (did you mean -%s %s?)", k.letter, value)
		}
	}
	return ""
}
