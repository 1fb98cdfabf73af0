package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/internal/config"
)

// value parses the text of a flag, and keeps what the library has no place for.
type value struct {
	set         func(text string) error
	placeholder string // of the text; empty: the flag takes none
	choices     []string
	alone       bool  // the flag may stand without a text
	err         error // of set, with its type: the library makes a text of it
}

// Set, String, Get and IsBoolFlag implement cli.Value.
func (v *value) Set(text string) error { v.err = v.set(text); return v.err }
func (v *value) String() string        { return "" }
func (v *value) Get() any              { return nil }
func (v *value) IsBoolFlag() bool      { return v.alone }

// parsed sets a field to what parse makes of a text.
func parsed[T any](field *T, parse func(string) (T, error)) func(string) error {
	return func(text string) (err error) { *field, err = parse(text); return err }
}

func anyText(text string) (string, error) { return text, nil }

// option makes a flag. Its name may have a letter, as in "url,u"; fallback is the default that the help shows.
func option(name, placeholder, usage, fallback string, set func(string) error, choices ...string) *cli.GenericFlag {
	names := strings.Split(name, ",")
	v := &value{set: set, placeholder: placeholder, choices: choices, alone: placeholder == ""}
	f := &cli.GenericFlag{Name: names[0], Aliases: names[1:], Usage: usage, DefaultText: fallback, Value: v}
	f.SetStringer(func(cli.Flag) string {
		line := cli.FlagNamePrefixer(f.Names(), "")
		if v.alone && placeholder != "" {
			line += "=" + placeholder // after a blank, it would be an argument
		} else if placeholder != "" {
			line += " " + placeholder
		}
		line += "\t" + usage
		if fallback != "" {
			line += " (default: " + fallback + ")"
		}
		return cli.FlagEnvHinter(f.GetEnvVars(), line)
	})
	return f
}

// toggle is a flag without a value.
func toggle(name, usage string, field *bool) *cli.GenericFlag {
	return option(name, "", usage, "", parsed(field, config.ParseBool))
}

// variable is the library's source of a flag, but for the environment that it reads. An empty variable counts as unset.
type variable struct {
	cli.ValueSource
	cli.EnvValueSource
	lookup config.Lookup
}

func (v variable) Lookup() (string, bool) { text, _ := v.lookup(v.Key()); return text, text != "" }

// orVariable has a flag read from the environment too.
func (e *Env) orVariable(f *cli.GenericFlag) *cli.GenericFlag {
	source := cli.EnvVar(config.EnvName(f.Name))
	f.Sources = cli.NewValueSourceChain(variable{source, source.(cli.EnvValueSource), e.LookupEnv})
	return f
}

// usageErr is a mistake in the command line, the environment or the file. name is the subcommand; empty: none.
func usageErr(name, format string, args ...any) error {
	lead, help := name+": ", strings.TrimSuffix("conch "+name, " ")+" --help"
	if name == serve || name == "" {
		lead = ""
	}
	return &exitError{status: statusUsage, err: fmt.Errorf(lead+format+"; see "+help, args...)}
}

// explainUsage puts the errors of the flag library into our words. The library has no error types, so this matches texts,
// which the tests hold: a new version that changes one shows its own text, still in one line.
func (e *Env) explainUsage(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	var names []string
	of := strings.TrimPrefix(cmd.FullName(), "conch ") // conch log verify
	for _, f := range cmd.Flags {
		names = append(names, f.Names()[0])
		if v := valueOf(f); v.err != nil {
			return usageErr(of, "flag --%s: %w", f.Names()[0], v.err)
		}
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		typed, hint := "-"+name, config.Suggest("--", name, names)
		if slices.ContainsFunc(e.Args, func(arg string) bool { return strings.HasPrefix(arg, "-"+typed) }) {
			typed = "-" + typed
		} else if f := flagNamed(cmd.Flags, name[:1]); f != nil && hint == "" && !valueOf(f).alone {
			hint = fmt.Sprintf(" (did you mean -%s %s?)", name[:1], name[1:])
		}
		return usageErr(of, "unknown flag %s%s", config.QuoteIfNeeded(typed), hint)
	}
	name, isBare := strings.CutPrefix(err.Error(), "flag needs an argument: ")
	if f := flagNamed(cmd.Flags, name); isBare && f != nil {
		return usageErr(of, "flag --%s needs a value: --%[1]s %s", f.Names()[0], valueOf(f).placeholder)
	}
	return usageErr(of, "%w", err)
}

// flagNamed finds the flag that a word of the line names, with or without dashes.
func flagNamed(flags []cli.Flag, word string) cli.Flag {
	word = strings.TrimLeft(word, "-")
	for _, f := range flags {
		if slices.Contains(f.Names(), word) {
			return f
		}
	}
	return nil
}

// valueOf is the value of a flag. The library's own, such as --help, have none.
func valueOf(f cli.Flag) *value {
	if g, ok := f.(*cli.GenericFlag); ok {
		return g.Value.(*value)
	}
	return &value{alone: true}
}
