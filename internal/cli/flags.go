package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/internal/config"
)

// option is one flag of a subcommand. It sets a field of T, the options of that subcommand.
type option[T any] struct {
	name     string
	letter   string // the short form, or none
	value    string // placeholder of the value in the help; empty: the flag takes none
	fallback string // default, for the help alone
	usage    string
	example  string // of a value
	env      bool   // also read from the environment, by the name that config.EnvName gives
	set      func(o *T, text string) error
}

// toggle is a flag without a value.
func toggle[T any](name, letter, usage string, field func(*T) *bool) option[T] {
	set := func(o *T, text string) (err error) { *field(o), err = config.ParseBool(text); return err }
	return option[T]{name: name, letter: letter, usage: usage, example: "true", set: set}
}

// textFlag is a flag that takes any text.
func textFlag[T any](name, value, usage, example string, field func(*T) *string) option[T] {
	set := func(o *T, text string) error { *field(o) = text; return nil }
	return option[T]{name: name, value: value, usage: usage, example: example, set: set}
}

// cliFlags are the options as flags of the library, --help last, and the values that it will fill in.
func cliFlags[T any](table []option[T]) (flags []cli.Flag, values []*flagValue) {
	for _, o := range append(table[:len(table):len(table)], option[T]{name: "help", letter: "h", usage: "print this"}) {
		v := &flagValue{boolFlag: o.value == ""}
		f := &cli.GenericFlag{Name: o.name, Usage: o.usage, Value: v}
		if o.letter != "" {
			f.Aliases = []string{o.letter}
		}
		flags, values = append(flags, f), append(values, v)
	}
	return flags, values
}

// readOptions sets options from the arguments of a subcommand, or else from the environment. It returns the positional
// arguments. A repeated flag is set once for each value.
func readOptions[T any](name string, table []option[T], o *T, args []string, env config.Lookup) (arguments []string, help bool, err error) {
	flags, values := cliFlags(table)
	names := make([]flagName, len(table))
	for i, f := range table {
		names[i] = flagName{name: f.name, example: f.example}
		if f.value != "" {
			names[i].letter = f.letter
		}
	}
	arguments, err = split(append([]string{"conch " + name}, args...), flags, names)
	if err != nil {
		return nil, false, subcommandUsageErr(name, "%w", err)
	}
	if values[len(table)].isSet {
		return nil, true, nil
	}
	for i, f := range table {
		from, texts := "flag --"+f.name, values[i].all
		if f.env && len(texts) == 0 {
			if text, _ := env(config.EnvName(f.name)); text != "" { // empty counts as unset, as with settings
				from, texts = "env "+config.EnvName(f.name), []string{text}
			}
		}
		for _, text := range texts {
			if err := f.set(o, text); err != nil {
				return nil, false, subcommandUsageErr(name, "%s: %w", from, err)
			}
		}
	}
	return arguments, false, nil
}

// subcommandUsageErr is usageErr for a subcommand.
func subcommandUsageErr(name, format string, args ...any) error {
	return &exitError{status: statusUsage, err: fmt.Errorf(name+": "+format+"; see conch "+name+" --help", args...)}
}

// optionsHelp has one line for each option.
func optionsHelp[T any](table []option[T]) string {
	const width = 25 // of the longest flag
	var b strings.Builder
	for _, o := range table {
		flag, usage := "--"+o.name, o.usage
		if o.letter != "" {
			flag += ", -" + o.letter
		}
		if o.value != "" {
			flag += " " + o.value
		}
		var notes []string
		if o.fallback != "" {
			notes = append(notes, "default "+o.fallback)
		}
		if o.env {
			notes = append(notes, "env "+config.EnvName(o.name))
		}
		if len(notes) > 0 {
			usage += " [" + strings.Join(notes, ", ") + "]"
		}
		fmt.Fprintf(&b, "  %-*s %s\n", width, flag, usage)
	}
	fmt.Fprintf(&b, "  %-*s %s\n", width, "--help, -h", "print this")
	return b.String()
}
