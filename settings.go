package main

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

// settings are what conch was told, from all sources together.
type settings struct {
	listen      string // empty: not at all, and so with the other two
	tlsListen   string
	tlsFiles    tlsfiles.Files
	unixSocket  string
	unixMode    fs.FileMode
	hasPassword bool // there is a requirepass
	logLevel    zerolog.Level
	logFormat   string
	options     server.Options
	config      string // the file that was read, if any
}

// setting is one setting. Its name is that of the flag, of the key in the file and, put another way, of the environment
// variable.
type setting struct {
	name     string
	value    string // what stands for the value in the help
	fallback string // may be empty, where the setting is then off
	usage    string
	set      func(s *settings, text string) error // the error says what is expected
	get      func(s *settings) any                // as the log shows it
	boolFlag bool                                 // the flag alone, with no value, means true
}

// settingsTable is every setting there is: flags, environment, file, help and the first line of the log follow from it.
var settingsTable = []setting{
	address("listen", "0.0.0.0:8889", "where to listen, as host:port or :port, or none",
		func(s *settings) *string { return &s.listen }),
	address("tls-listen", none, "where to listen for TLS as well",
		func(s *settings) *string { return &s.tlsListen }),
	file("tls-cert", "certificate for tls-listen, in PEM; a change of it is noticed",
		func(s *settings) *string { return &s.tlsFiles.Cert }),
	file("tls-key", "its private key, in PEM; only its owner may be able to read it",
		func(s *settings) *string { return &s.tlsFiles.Key }),
	file("tls-client-ca", "verify the certificates of clients against these, in PEM",
		func(s *settings) *string { return &s.tlsFiles.ClientCA }),
	{
		name: "tls-client-auth", value: "WORD", fallback: authRequire,
		usage: "with tls-client-ca: require a certificate of each client, or optional",
		set:   setClientAuth, get: clientAuth,
	},
	{
		name: "tls-user", value: "BOOL", fallback: "false", boolFlag: true,
		usage: "with tls-client-ca: the common name of the certificate is the user",
		set: func(s *settings, text string) (err error) {
			s.options.CertificateUser, err = parseBool(text)
			return err
		},
		get: func(s *settings) any { return s.options.CertificateUser },
	},
	duration("handshake-timeout", "10s", "time for a TLS handshake",
		func(s *settings) *time.Duration { return &s.options.HandshakeTimeout }),
	{
		name: "unix-socket", value: "FILE", usage: "Unix socket to listen on as well",
		set: setUnixSocket, get: func(s *settings) any { return s.unixSocket },
	},
	{
		name: "unix-mode", value: "MODE", fallback: "0700", usage: "who may connect to it, in octal: whom it lets write",
		set: setUnixMode, get: func(s *settings) any { return fmt.Sprintf("%04o", s.unixMode) },
	},
	{
		name: "protected-mode", value: "BOOL", fallback: "true", boolFlag: true,
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
	{
		name: "max-memory", value: "SIZE", fallback: auto,
		usage: "what all clients together may make conch hold; auto is half of the machine's",
		set:   setMaxMemory, get: func(s *settings) any { return s.options.MaxMemory },
	},
	count("max-subscriptions", "1048576", "topics and patterns that one connection may listen to",
		func(s *settings) *int { return &s.options.MaxSubscriptions }),
	count("max-predicates", "1000", "predicates that one connection may hold",
		func(s *settings) *int { return &s.options.MaxPredicates }),
	size("max-predicate", "4KiB", "longest predicate",
		func(s *settings) *int { return &s.options.MaxPredicate }),
	size("max-predicate-payload", "1MiB", "longest message that predicates look into",
		func(s *settings) *int { return &s.options.MaxPredicatePayload }),
	duration("keep-alive", "60s", "ask a peer that is silent for so long whether it is still there",
		func(s *settings) *time.Duration { return &s.options.KeepAlive }),
	{
		name: "slow-consumer", value: "POLICY", fallback: server.Disconnect.String(),
		usage: "when a subscriber is too slow: disconnect, drop-newest or drop-oldest",
		set: func(s *settings, text string) (err error) {
			s.options.SlowConsumer, err = server.ParsePolicy(text)
			return err
		},
		get: func(s *settings) any { return s.options.SlowConsumer.String() },
	},
	size("slow-hard", "32MiB", "slow-consumer applies to a subscriber when this much waits for it",
		func(s *settings) *int { return &s.options.SlowHard }),
	size("slow-soft", "8MiB", "evict a subscriber when this much waits for it for slow-time",
		func(s *settings) *int { return &s.options.SlowSoft }),
	duration("slow-time", "60s", "see slow-soft; also how long a peer may read nothing at all",
		func(s *settings) *time.Duration { return &s.options.SlowTime }),
	file("aclfile", "the users and what they may do, in Redis' syntax",
		func(s *settings) *string { return &s.options.ACLFile }),
	{
		name: "requirepass", value: "PASSWORD",
		usage: "the default user's password; others on this machine see flags, so prefer env",
		set: func(s *settings, text string) error {
			s.options.RequirePassword, s.hasPassword = text, text != ""
			return nil
		},
		get: func(s *settings) any { return s.hasPassword }, // whether there is one: the log shows no more
	},
	duration("auth-timeout", "10s", "time to say who one is, where that is asked",
		func(s *settings) *time.Duration { return &s.options.AuthTimeout }),
	duration("drain-timeout", "5s", "time for a connection that ends to read what waits for it",
		func(s *settings) *time.Duration { return &s.options.DrainTimeout }),
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
func (r *setting) env() string { return envName(r.name) }

func envName(name string) string {
	return "CONCH_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// size, count and duration make settings for the types that several settings share.
func size(name, fallback, usage string, field func(*settings) *int) setting {
	return setting{
		name: name, value: "SIZE", fallback: fallback, usage: usage,
		set: func(s *settings, text string) (err error) { *field(s), err = parseSize(text); return err },
		get: func(s *settings) any { return *field(s) },
	}
}

func count(name, fallback, usage string, field func(*settings) *int) setting {
	return setting{
		name: name, value: "NUMBER", fallback: fallback, usage: usage,
		set: func(s *settings, text string) (err error) { *field(s), err = parseCount(text); return err },
		get: func(s *settings) any { return *field(s) },
	}
}

func duration(name, fallback, usage string, field func(*settings) *time.Duration) setting {
	return setting{
		name: name, value: "TIME", fallback: fallback, usage: usage,
		set: func(s *settings, text string) (err error) { *field(s), err = parseDuration(text); return err },
		get: func(s *settings) any { return field(s).String() },
	}
}

// address makes a setting for where to listen. The field is empty where that is nowhere.
func address(name, fallback, usage string, field func(*settings) *string) setting {
	return setting{
		name: name, value: "ADDRESS", fallback: fallback, usage: usage,
		set: func(s *settings, text string) (err error) { *field(s), err = parseAddress(text); return err },
		get: func(s *settings) any { return cmp.Or(*field(s), none) },
	}
}

// file makes a setting for the name of a file. It is looked for when it is opened.
func file(name, usage string, field func(*settings) *string) setting {
	return setting{
		name: name, value: "FILE", usage: usage,
		set: func(s *settings, text string) error { *field(s) = text; return nil },
		get: func(s *settings) any { return *field(s) },
	}
}

// lookup finds an environment variable, as os.LookupEnv does.
type lookup func(name string) (value string, ok bool)

// rawValue is a value as somebody wrote it, and where.
type rawValue struct{ text, from string }

// sources are where settings come from, the strongest first. The table's fallback comes after all of them.
type sources []func(r *setting) (rawValue, bool)

// resolve takes each setting from the strongest source that has it. What weaker sources say is not even looked at, so
// that a flag also helps against a value in the file that this version of conch does not take.
func (from sources) resolve() (*settings, error) {
	s := &settings{}
	byDefault := make(map[string]bool)
	for i := range settingsTable {
		r := &settingsTable[i]
		g, ok := from.find(r)
		byDefault[r.name] = !ok
		if err := r.set(s, g.text); err != nil {
			return nil, usageErr("%s: %w", g.from, err)
		}
	}
	o := &s.options
	if byDefault["slow-soft"] {
		o.SlowSoft = min(o.SlowSoft, o.SlowHard) // whoever lowers the hard limit alone gets both
	}
	if o.SlowSoft > o.SlowHard {
		return nil, usageErr("slow-soft (%d bytes) is over slow-hard (%d bytes), where it has no effect", o.SlowSoft, o.SlowHard)
	}
	if err := s.checkListeners(byDefault["tls-client-auth"]); err != nil {
		return nil, usageErr("%w", err)
	}
	return s, nil
}

func (from sources) find(r *setting) (g rawValue, ok bool) {
	for _, source := range from {
		if g, ok := source(r); ok {
			return g, true
		}
	}
	return rawValue{text: r.fallback, from: "default of " + r.name}, false
}

// fromEnv looks a setting up in the environment. An empty variable is as good as none: that is what a container file
// makes of a variable that it passes on and nobody has set.
func fromEnv(env lookup) func(*setting) (rawValue, bool) {
	return func(r *setting) (rawValue, bool) {
		text, _ := env(r.env())
		return rawValue{text: text, from: "env " + r.env()}, text != ""
	}
}
