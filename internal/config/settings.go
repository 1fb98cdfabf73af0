// Package config is the settings of conch: one table of them, and the way from flags, environment and TOML file to a Config.
package config

import (
	"cmp"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/tlsfiles"
	"github.com/conchmq/conch/server"
)

// Config is what conch was told, from all sources together.
type Config struct {
	Listen      string // empty: not at all, and so with the other two
	TLSListen   string
	TLSFiles    tlsfiles.Files
	UnixSocket  string
	UnixMode    fs.FileMode
	hasPassword bool // there is a requirepass
	LogLevel    zerolog.Level
	LogFormat   string
	Server      server.Options
	File        string // the file that was read, if any
}

// Setting is one setting. Its name is that of the flag, of the key in the file and, put another way, of the environment
// variable.
type Setting struct {
	Name     string
	Value    string // what stands for the value in the help
	Default  string // may be empty, where the setting is then off
	Usage    string
	set      func(s *Config, text string) error // the error says what is expected
	Get      func(s *Config) any                // as the log shows it
	BoolFlag bool                               // the flag alone, with no value, means true
}

// settingsTable is every setting there is: flags, environment, file, help and the first line of the log follow from it.
var settingsTable = []Setting{
	address("listen", "0.0.0.0:8889", "where to listen, as host:port or :port, or none",
		func(s *Config) *string { return &s.Listen }),
	address("tls-listen", none, "where to listen for TLS as well",
		func(s *Config) *string { return &s.TLSListen }),
	file("tls-cert", "certificate for tls-listen, in PEM; a change of it is noticed",
		func(s *Config) *string { return &s.TLSFiles.Cert }),
	file("tls-key", "its private key, in PEM; only its owner may be able to read it",
		func(s *Config) *string { return &s.TLSFiles.Key }),
	file("tls-client-ca", "verify the certificates of clients against these, in PEM",
		func(s *Config) *string { return &s.TLSFiles.ClientCA }),
	{
		Name: "tls-client-auth", Value: "WORD", Default: authRequire,
		Usage: "with tls-client-ca: require a certificate of each client, or optional",
		set:   setClientAuth, Get: clientAuth,
	},
	{
		Name: "tls-user", Value: "BOOL", Default: "false", BoolFlag: true,
		Usage: "with tls-client-ca: the common name of the certificate is the user",
		set: func(s *Config, text string) (err error) {
			s.Server.CertificateUser, err = ParseBool(text)
			return err
		},
		Get: func(s *Config) any { return s.Server.CertificateUser },
	},
	duration("handshake-timeout", "10s", "time for a TLS handshake",
		func(s *Config) *time.Duration { return &s.Server.HandshakeTimeout }),
	{
		Name: "unix-socket", Value: "FILE", Usage: "Unix socket to listen on as well",
		set: setUnixSocket, Get: func(s *Config) any { return s.UnixSocket },
	},
	{
		Name: "unix-mode", Value: "MODE", Default: "0700", Usage: "who may connect to it, in octal: whom it lets write",
		set: setUnixMode, Get: func(s *Config) any { return fmt.Sprintf("%04o", s.UnixMode) },
	},
	{
		Name: "protected-mode", Value: "BOOL", Default: "true", BoolFlag: true,
		Usage: "serve this machine only, and refuse the others",
		set:   setProtected, Get: func(s *Config) any { return !s.Server.Unprotected },
	},
	count("max-connections", "10000", "connections open at once; one more is refused",
		func(s *Config) *int { return &s.Server.MaxConnections }),
	size("max-message", "16MiB", "longest message",
		func(s *Config) *int { return &s.Server.Limits.Message }),
	size("max-line", "64KiB", "longest line, of those who type lines",
		func(s *Config) *int { return &s.Server.Limits.Line }),
	size("max-topic", "4KiB", "longest topic or pattern",
		func(s *Config) *int { return &s.Server.Limits.Topic }),
	count("max-arguments", "1048576", "most arguments of one command",
		func(s *Config) *int { return &s.Server.Limits.Arguments }),
	size("max-command", "64MiB", "longest command as a whole; at least what a message needs",
		func(s *Config) *int { return &s.Server.Limits.Command }),
	{
		Name: "max-memory", Value: "SIZE", Default: auto,
		Usage: "what all clients together may make conch hold; auto is half of the machine's",
		set:   setMaxMemory, Get: func(s *Config) any { return s.Server.MaxMemory },
	},
	count("max-subscriptions", "1048576", "topics and patterns that one connection may listen to",
		func(s *Config) *int { return &s.Server.MaxSubscriptions }),
	count("max-predicates", "1000", "predicates that one connection may hold",
		func(s *Config) *int { return &s.Server.MaxPredicates }),
	size("max-predicate", "4KiB", "longest predicate",
		func(s *Config) *int { return &s.Server.MaxPredicate }),
	size("max-predicate-payload", "1MiB", "longest message that predicates look into",
		func(s *Config) *int { return &s.Server.MaxPredicatePayload }),
	duration("keep-alive", "60s", "ask a peer that is silent for so long whether it is still there",
		func(s *Config) *time.Duration { return &s.Server.KeepAlive }),
	{
		Name: "slow-consumer", Value: "POLICY", Default: server.Disconnect.String(),
		Usage: "when a subscriber is too slow: disconnect, drop-newest or drop-oldest",
		set: func(s *Config, text string) (err error) {
			s.Server.SlowConsumer, err = server.ParsePolicy(text)
			return err
		},
		Get: func(s *Config) any { return s.Server.SlowConsumer.String() },
	},
	size("slow-hard", "32MiB", "slow-consumer applies to a subscriber when this much waits for it",
		func(s *Config) *int { return &s.Server.SlowHard }),
	size("slow-soft", "8MiB", "evict a subscriber when this much waits for it for slow-time",
		func(s *Config) *int { return &s.Server.SlowSoft }),
	duration("slow-time", "60s", "see slow-soft; also how long a peer may read nothing at all",
		func(s *Config) *time.Duration { return &s.Server.SlowTime }),
	file("aclfile", "the users and what they may do, in Redis' syntax",
		func(s *Config) *string { return &s.Server.ACLFile }),
	{
		Name: "requirepass", Value: "PASSWORD",
		Usage: "the default user's password; others on this machine see flags, so prefer env",
		set: func(s *Config, text string) error {
			s.Server.RequirePassword, s.hasPassword = text, text != ""
			return nil
		},
		Get: func(s *Config) any { return s.hasPassword }, // whether there is one: the log shows no more
	},
	duration("auth-timeout", "10s", "time to say who one is, where that is asked",
		func(s *Config) *time.Duration { return &s.Server.AuthTimeout }),
	duration("drain-timeout", "5s", "time for a connection that ends to read what waits for it",
		func(s *Config) *time.Duration { return &s.Server.DrainTimeout }),
	{
		Name: "log-level", Value: "LEVEL", Default: "info", Usage: "trace, debug, info, warn or error",
		set: setLogLevel, Get: func(s *Config) any { return s.LogLevel.String() },
	},
	{
		Name: "log-format", Value: "FORMAT", Default: "auto", Usage: "console, json, or auto: console on a terminal",
		set: setLogFormat, Get: func(s *Config) any { return s.LogFormat },
	},
}

// Settings are all settings, in the order of the help.
func Settings() []Setting { return settingsTable }

// Env is the name of a setting's environment variable.
func (r *Setting) Env() string { return EnvName(r.Name) }

// EnvName is the name of an environment variable for what a flag of this name sets.
func EnvName(name string) string {
	return "CONCH_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// size, count and duration make settings for the types that several settings share.
func size(name, fallback, usage string, field func(*Config) *int) Setting {
	return Setting{
		Name: name, Value: "SIZE", Default: fallback, Usage: usage,
		set: func(s *Config, text string) (err error) { *field(s), err = ParseSize(text); return err },
		Get: func(s *Config) any { return *field(s) },
	}
}

func count(name, fallback, usage string, field func(*Config) *int) Setting {
	return Setting{
		Name: name, Value: "NUMBER", Default: fallback, Usage: usage,
		set: func(s *Config, text string) (err error) { *field(s), err = ParseCount(text); return err },
		Get: func(s *Config) any { return *field(s) },
	}
}

func duration(name, fallback, usage string, field func(*Config) *time.Duration) Setting {
	return Setting{
		Name: name, Value: "TIME", Default: fallback, Usage: usage,
		set: func(s *Config, text string) (err error) { *field(s), err = ParseDuration(text); return err },
		Get: func(s *Config) any { return field(s).String() },
	}
}

// address makes a setting for where to listen. The field is empty where that is nowhere.
func address(name, fallback, usage string, field func(*Config) *string) Setting {
	return Setting{
		Name: name, Value: "ADDRESS", Default: fallback, Usage: usage,
		set: func(s *Config, text string) (err error) { *field(s), err = parseAddress(text); return err },
		Get: func(s *Config) any { return cmp.Or(*field(s), none) },
	}
}

// file makes a setting for the name of a file. It is looked for when it is opened.
func file(name, usage string, field func(*Config) *string) Setting {
	return Setting{
		Name: name, Value: "FILE", Usage: usage,
		set: func(s *Config, text string) error { *field(s) = text; return nil },
		Get: func(s *Config) any { return *field(s) },
	}
}

// Lookup finds an environment variable, as os.LookupEnv does.
type Lookup func(name string) (value string, ok bool)

// rawValue is a value as somebody wrote it, and where.
type rawValue struct{ text, from string }

// sources are where settings come from, the strongest first. The table's fallback comes after all of them.
type sources []func(r *Setting) (rawValue, bool)

// resolve takes each setting from the strongest source that has it. What weaker sources say is not even looked at, so
// that a flag also helps against a value in the file that this version of conch does not take.
func (from sources) resolve() (*Config, error) {
	s := &Config{}
	byDefault := make(map[string]bool)
	for i := range settingsTable {
		r := &settingsTable[i]
		g, ok := from.find(r)
		byDefault[r.Name] = !ok
		if err := r.set(s, g.text); err != nil {
			return nil, fmt.Errorf("%s: %w", g.from, err)
		}
	}
	o := &s.Server
	if byDefault["slow-soft"] {
		o.SlowSoft = min(o.SlowSoft, o.SlowHard) // whoever lowers the hard limit alone gets both
	}
	if o.SlowSoft > o.SlowHard {
		return nil, fmt.Errorf("slow-soft (%d bytes) is over slow-hard (%d bytes), where it has no effect", o.SlowSoft, o.SlowHard)
	}
	if err := s.checkListeners(byDefault["tls-client-auth"]); err != nil {
		return nil, err
	}
	return s, nil
}

func (from sources) find(r *Setting) (g rawValue, ok bool) {
	for _, source := range from {
		if g, ok := source(r); ok {
			return g, true
		}
	}
	return rawValue{text: r.Default, from: "default of " + r.Name}, false
}

// fromEnv looks a setting up in the environment. An empty variable is as good as none: that is what a container file
// makes of a variable that it passes on and nobody has set.
func fromEnv(env Lookup) func(*Setting) (rawValue, bool) {
	return func(r *Setting) (rawValue, bool) {
		text, _ := env(r.Env())
		return rawValue{text: text, from: "env " + r.Env()}, text != ""
	}
}
