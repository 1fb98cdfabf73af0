package main

import (
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/server"
)

// settings are what conch was told, from all sources together.
type settings struct {
	listen    string
	logLevel  zerolog.Level
	logFormat string
	options   server.Options
	config    string // the file that was read, if any
}

// row is one setting. Its name is that of the flag, of the key in the file and, put another way, of the environment
// variable.
type row struct {
	name     string
	value    string // what stands for the value in the help
	fallback string
	usage    string
	set      func(s *settings, text string) error // the error says what is expected
	get      func(s *settings) any                // as the log shows it
	bare     bool                                 // the flag alone, with no value, means true
}

// table is every setting there is: flags, environment, file, help and the first line of the log follow from it.
var table = []row{
	{
		name: "listen", value: "ADDRESS", fallback: "0.0.0.0:8889", usage: "where to listen, as host:port or :port",
		set: setListen, get: func(s *settings) any { return s.listen },
	},
	{
		name: "protected-mode", value: "BOOL", fallback: "true", bare: true,
		usage: "serve this machine only, and refuse the others",
		set:   setProtected, get: func(s *settings) any { return !s.options.Unprotected },
	},
	count("max-connections", "10000", "connections open at once; one more is refused",
		func(s *settings) *int { return &s.options.MaxConnections }),
	size("max-message", "16MiB", "longest message",
		func(s *settings) *int { return &s.options.Limits.Message }),
	size("max-line", "64KiB", "longest line, of those who type lines",
		func(s *settings) *int { return &s.options.Limits.Line }),
	size("max-topic", "4KiB", "longest topic or pattern",
		func(s *settings) *int { return &s.options.Limits.Topic }),
	count("max-arguments", "1048576", "most arguments of one command",
		func(s *settings) *int { return &s.options.Limits.Arguments }),
	size("max-command", "64MiB", "longest command as a whole; at least what a message needs",
		func(s *settings) *int { return &s.options.Limits.Command }),
	size("slow-hard", "32MiB", "evict a subscriber at once when this much waits for it",
		func(s *settings) *int { return &s.options.SlowHard }),
	size("slow-soft", "8MiB", "evict a subscriber when this much waits for it for slow-time",
		func(s *settings) *int { return &s.options.SlowSoft }),
	period("slow-time", "60s", "see slow-soft; also how long a peer may read nothing at all",
		func(s *settings) *time.Duration { return &s.options.SlowTime }),
	period("drain-time", "5s", "time for a connection that ends to read what waits for it",
		func(s *settings) *time.Duration { return &s.options.DrainTime }),
	{
		name: "log-level", value: "LEVEL", fallback: "info", usage: "trace, debug, info, warn or error",
		set: setLogLevel, get: func(s *settings) any { return s.logLevel.String() },
	},
	{
		name: "log-format", value: "FORMAT", fallback: "auto", usage: "console, json, or auto: console on a terminal",
		set: setLogFormat, get: func(s *settings) any { return s.logFormat },
	},
}

// env is the name of a setting's environment variable.
func (r *row) env() string { return envName(r.name) }

func envName(name string) string {
	return "CONCH_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// size, count and period make rows for the types that several settings share.
func size(name, fallback, usage string, field func(*settings) *int) row {
	return row{
		name: name, value: "SIZE", fallback: fallback, usage: usage,
		set: func(s *settings, text string) (err error) { *field(s), err = parseSize(text); return err },
		get: func(s *settings) any { return *field(s) },
	}
}

func count(name, fallback, usage string, field func(*settings) *int) row {
	return row{
		name: name, value: "NUMBER", fallback: fallback, usage: usage,
		set: func(s *settings, text string) (err error) { *field(s), err = parseCount(text); return err },
		get: func(s *settings) any { return *field(s) },
	}
}

func period(name, fallback, usage string, field func(*settings) *time.Duration) row {
	return row{
		name: name, value: "TIME", fallback: fallback, usage: usage,
		set: func(s *settings, text string) (err error) { *field(s), err = parsePeriod(text); return err },
		get: func(s *settings) any { return field(s).String() },
	}
}

// lookup finds an environment variable, as os.LookupEnv does.
type lookup func(name string) (value string, ok bool)

// given is a value as somebody wrote it, and where.
type given struct{ text, from string }

// sources are where settings come from, the strongest first. The table's fallback comes after all of them.
type sources []func(r *row) (given, bool)

// resolve takes each setting from the strongest source that has it. What weaker sources say is not even looked at, so
// that a flag also helps against a value in the file that this version of conch does not take.
func (from sources) resolve() (*settings, error) {
	s := &settings{}
	byDefault := make(map[string]bool)
	for i := range table {
		r := &table[i]
		g, ok := from.find(r)
		byDefault[r.name] = !ok
		if err := r.set(s, g.text); err != nil {
			return nil, wrongUse("%s: %w", g.from, err)
		}
	}
	o := &s.options
	if byDefault["slow-soft"] {
		o.SlowSoft = min(o.SlowSoft, o.SlowHard) // whoever lowers the hard limit alone gets both
	}
	if o.SlowSoft > o.SlowHard {
		return nil, wrongUse("slow-soft (%d bytes) is over slow-hard (%d bytes), where it has no effect", o.SlowSoft, o.SlowHard)
	}
	return s, nil
}

func (from sources) find(r *row) (g given, ok bool) {
	for _, source := range from {
		if g, ok := source(r); ok {
			return g, true
		}
	}
	return given{text: r.fallback, from: "default of " + r.name}, false
}

// fromEnv looks a setting up in the environment. An empty variable is as good as none: that is what a container file
// makes of a variable that it passes on and nobody has set.
func fromEnv(env lookup) func(*row) (given, bool) {
	return func(r *row) (given, bool) {
		text, _ := env(r.env())
		return given{text: text, from: "env " + r.env()}, text != ""
	}
}
