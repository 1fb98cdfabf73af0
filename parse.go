package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
)

// parse reads the settings from the arguments, the environment and the file. It returns no settings when it has
// answered on stdout all that was asked.
func parse(args []string, env lookup, stdout io.Writer) (*settings, error) {
	line, err := readArguments(args, stdout)
	if err != nil || line.answered {
		return nil, err
	}
	path := line.config
	if !path.isSet {
		path.text, _ = env(envName("config"))
	}
	from := sources{line.find, fromEnv(env)}
	if path.isSet || path.text != "" {
		file, err := readFile(path.text)
		if err != nil {
			return nil, err
		}
		from = append(from, func(r *setting) (rawValue, bool) { g, ok := file[r.name]; return g, ok })
	}
	s, err := from.resolve()
	if err != nil {
		return nil, err
	}
	s.config = path.text
	s.options.Version = version
	return s, nil
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

// commandLine is what the arguments say.
type commandLine struct {
	flags    map[string]*flagValue
	config   flagValue
	address  string // the positional argument
	given    bool   // there was one
	answered bool   // --help or --version, which leave nothing else to do
}

// find is the command line as a source of settings.
func (c *commandLine) find(r *setting) (rawValue, bool) {
	if r.name == "listen" && c.given {
		return rawValue{text: c.address, from: "argument"}, true
	}
	v := c.flags[r.name]
	return rawValue{text: v.text, from: "flag --" + r.name}, v.isSet
}

// readArguments takes the arguments apart, and answers --help and --version.
func readArguments(args []string, stdout io.Writer) (*commandLine, error) {
	c := &commandLine{flags: make(map[string]*flagValue)}
	help, showVersion := flagValue{boolFlag: true}, flagValue{boolFlag: true}
	flags := []cli.Flag{
		&cli.GenericFlag{Name: "help", Aliases: []string{"h"}, Value: &help},
		&cli.GenericFlag{Name: "version", Aliases: []string{"v"}, Value: &showVersion},
		&cli.GenericFlag{Name: "config", Value: &c.config},
	}
	for i := range settingsTable {
		v := &flagValue{boolFlag: settingsTable[i].boolFlag}
		c.flags[settingsTable[i].name] = v
		flags = append(flags, &cli.GenericFlag{Name: settingsTable[i].name, Value: v})
	}
	arguments, err := split(args, flags, settingNames())
	switch {
	case err != nil:
		return nil, usageErr("%w", err)
	case help.isSet:
		c.answered = true
		return c, answer(stdout, helpText())
	case showVersion.isSet:
		c.answered = true
		return c, answer(stdout, versionText())
	}
	return c, c.takeAddress(arguments)
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
		return nil, err //nolint:wrapcheck // it is of rewordFlagError
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

// takeAddress reads the one positional argument there may be.
func (c *commandLine) takeAddress(arguments []string) error {
	if len(arguments) == 0 {
		return nil
	}
	address := arguments[0]
	listen := c.flags["listen"]
	switch {
	case len(arguments) > 1:
		return usageErr("expected one address, got %d arguments: %q; usage: conch [address]", len(arguments), arguments)
	case listen.isSet:
		return usageErr("the address is given twice, as --listen %q and as %q; give one of them", listen.text, address)
	}
	if _, err := parseBool(address); err == nil && !isNumber(address) {
		return usageErr("%s is not an address (did you mean --protected-mode=%s?)", address, address)
	}
	if err := checkAddress(address); err != nil {
		return usageErr("%w; usage: conch [address], e.g. conch 127.0.0.1:8889, or conch sub, pub, bench or completion", err)
	}
	c.address, c.given = address, true
	return nil
}

// flagName is the name of something that takes a value, and an example of one. Letter is its short form, or empty; so it is
// where no value may stand behind the letter.
type flagName struct{ name, example, letter string }

func settingNames() []flagName {
	names := make([]flagName, len(settingsTable))
	for i := range settingsTable {
		names[i] = flagName{name: settingsTable[i].name, example: cmp.Or(settingsTable[i].fallback, settingsTable[i].value)}
	}
	return names
}

// rewordFlagError puts the library's findings into our words. It gives them as text alone, and those texts are held by the
// tests: when a new version of the library changes one, the user still gets one line, but the library's.
func rewordFlagError(err error, args []string, names []flagName) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		typed := dashes(name, args) + name
		return fmt.Errorf("unknown flag %s%s", quoteIfNeeded(typed), cmp.Or(suggest("--", name, names), suggestSpace(typed, names)))
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

// suggestSetting names the setting that was probably meant, with its prefix; nothing if none comes near.
func suggestSetting(prefix, name string) string { return suggest(prefix, name, settingNames()) }

// suggest is the same for the names of another table.
func suggest(prefix, name string, names []flagName) string {
	name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	best, distance := "", 1+len(name)/3
	for _, k := range names {
		if d := edits(name, k.name); d <= distance {
			best, distance = k.name, d-1
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + prefix + best + "?)"
}

// edits counts the bytes to change, add or leave out to make b of a.
func edits(a, b string) int {
	above := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		corner := above[0]
		above[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost = 1 + min(corner, above[j], above[j+1])
			}
			corner, above[j+1] = above[j+1], cost
		}
	}
	return above[len(b)]
}
