// Package config has the settings of conch: a table of them, and Load, which makes a Config of flags, environment and
// TOML file.
package config

import (
	"cmp"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/store"
	"github.com/conchmq/conch/internal/tlsfiles"
	"github.com/conchmq/conch/server"
)

// Config is the settings in force, from all sources together.
type Config struct {
	Listen       string // empty: not at all, and so with the others
	TLSListen    string
	HTTP         string
	HTTPS        string
	HTTPOrigins  []string // of pages that may use HTTP and HTTPS; * is any
	Debug        bool     // answer /debug/pprof
	TLSFiles     tlsfiles.Files
	UnixSocket   string
	UnixMode     fs.FileMode
	hasPassword  bool // there is a requirepass
	passwordFile string
	LogLevel     zerolog.Level
	LogFormat    string
	Server       server.Options
	Store        store.Options
	DirOptional  bool // streams are in memory if their directory cannot be written
	autoRecent   bool // recent follows http, https and max-memory

	autoStreamMemory bool              // stream-memory follows max-memory
	streamSettings   map[string]string // those that are state, by name

	Cluster Cluster // its Name is empty for a node alone

	Connectors []connect.Config  // of the file; they were checked
	Compiler   *connect.Compiler // that has checked them

	File string // the file that was read, if any

	Reload  func() (*Config, error) // reads all sources again
	Unknown []string                // what UnknownVariables found; for the log
}

// Setting is one setting. Its name is the name of the flag and of the key in the file; Env derives that of the
// environment variable.
type Setting struct {
	Name     string
	Value    string // placeholder of the value in the help
	Default  string // empty: the setting is off
	Usage    string
	set      func(c *Config, text string) error // its error names what is expected
	Get      func(c *Config) any                // as the log shows it
	BoolFlag bool                               // the flag without a value means true
	Choices  []string                           // all values, if there are few: for completion
	IsState  bool                               // of streams: a directory keeps it, and CONFIG SET changes it
}

// settingsTable is the one list of settings. Flags, environment, file, help and the first line of the log follow from it.
var settingsTable = []Setting{
	address("listen", "0.0.0.0:8889", "where to listen, as host:port or :port, or none",
		func(c *Config) *string { return &c.Listen }),
	address("tls-listen", none, "where to listen for TLS as well",
		func(c *Config) *string { return &c.TLSListen }),
	address("http", none, "where to listen for HTTP as well, e.g. 127.0.0.1:8890",
		func(c *Config) *string { return &c.HTTP }),
	address("https", none, "where to listen for HTTP over TLS as well",
		func(c *Config) *string { return &c.HTTPS }),
	{
		Name: "http-origin", Value: "ORIGINS", Usage: "pages that may use http and https, e.g. https://a.example,https://b.example",
		set: setOrigins, Get: func(c *Config) any { return strings.Join(c.HTTPOrigins, ",") },
	},
	{
		Name: "debug", Value: "BOOL", Default: "false", BoolFlag: true, Choices: bools,
		Usage: "profiles at /debug/pprof of http and https, for users that may run CONFIG GET",
		set:   func(c *Config, text string) (err error) { c.Debug, err = ParseBool(text); return err },
		Get:   func(c *Config) any { return c.Debug },
	},
	file("tls-cert", "certificate for tls-listen and https, in PEM; a changed file is reloaded",
		func(c *Config) *string { return &c.TLSFiles.Cert }),
	file("tls-key", "its private key, in PEM, in a file that only its owner can read",
		func(c *Config) *string { return &c.TLSFiles.Key }),
	file("tls-client-ca", "verify the certificates of clients against these, in PEM",
		func(c *Config) *string { return &c.TLSFiles.ClientCA }),
	{
		Name: "tls-client-auth", Value: "WORD", Default: authRequire, Choices: []string{authRequire, authOptional},
		Usage: "with tls-client-ca: require a client certificate, or optional",
		set:   setClientAuth, Get: clientAuth,
	},
	{
		Name: "tls-user", Value: "BOOL", Default: "false", BoolFlag: true, Choices: bools,
		Usage: "with tls-client-ca: the common name of the certificate is the user",
		set: func(c *Config, text string) (err error) {
			c.Server.CertificateUser, err = ParseBool(text)
			return err
		},
		Get: func(c *Config) any { return c.Server.CertificateUser },
	},
	duration("handshake-timeout", "10s", "time for a TLS handshake",
		func(c *Config) *time.Duration { return &c.Server.HandshakeTimeout }),
	{
		Name: "unix-socket", Value: "FILE", Usage: "Unix socket to listen on as well",
		set: setUnixSocket, Get: func(c *Config) any { return c.UnixSocket },
	},
	{
		Name: "unix-mode", Value: "MODE", Default: "0700", Usage: "its file mode, in octal: clients need write permission",
		set: setUnixMode, Get: func(c *Config) any { return fmt.Sprintf("%04o", c.UnixMode) },
	},
	{
		Name: "protected-mode", Value: "BOOL", Default: "true", BoolFlag: true, Choices: bools,
		Usage: "serve this machine only, and refuse the others",
		set:   setProtected, Get: func(c *Config) any { return !c.Server.Unprotected },
	},
	{
		Name: "enable-connect-command", Value: "WORD", Default: "no", Choices: []string{"no", "local", "yes"},
		Usage: "clients that may change connectors at run time: no, local (this machine), yes",
		set:   setConnectCommand, Get: func(c *Config) any { return string(c.Server.ConnectCommand) },
	},
	count("max-connections", "10000", "connections open at once; one more is refused",
		func(c *Config) *int { return &c.Server.MaxConnections }),
	size("max-message", "16MiB", "longest message",
		func(c *Config) *int { return &c.Server.Limits.Message }),
	size("max-line", "64KiB", "longest line of the line protocol",
		func(c *Config) *int { return &c.Server.Limits.Line }),
	size("max-topic", "4KiB", "longest topic or pattern",
		func(c *Config) *int { return &c.Server.Limits.Topic }),
	count("max-arguments", "1048576", "most arguments of one command",
		func(c *Config) *int { return &c.Server.Limits.Arguments }),
	size("max-command", "64MiB", "longest command as a whole; raised to what max-message needs",
		func(c *Config) *int { return &c.Server.Limits.Command }),
	{
		Name: "max-memory", Value: "SIZE", Default: auto,
		Usage: "memory for all clients together; auto is half of the machine's",
		set:   setMaxMemory, Get: func(c *Config) any { return c.Server.MaxMemory },
	},
	{
		Name: "recent", Value: "SIZE", Default: auto,
		Usage: "latest messages to keep, or none; auto is 64MiB with http or https, else none",
		set:   setRecent, Get: func(c *Config) any { return c.Server.Recent },
	},
	{
		Name: "dir", Value: "DIRECTORY", Usage: "where the log of streams is, which outlives conch; without it streams are in memory",
		set: func(c *Config, text string) error { c.Store.Dir = text; return nil },
		Get: func(c *Config) any { return c.Store.Dir },
	},
	{
		Name: "dir-optional", Value: "BOOL", Default: "false", BoolFlag: true, Choices: bools,
		Usage: "keep streams in memory, and warn, if dir cannot be written: else conch does not start",
		set:   setDirOptional, Get: func(c *Config) any { return c.DirOptional },
	},
	{
		Name: "fsync", Value: "WHEN", Default: "1s", Usage: "when the log is synced to disk: always, before a reply; no; or so often",
		set: setFsync, Get: fsync,
	},
	size("segment-size", "64MiB", "size of a file of the log",
		func(c *Config) *int { return &c.Store.SegmentSize }),
	{
		Name: "compress", Value: "HOW", Default: none, Usage: "how new files of the log are compressed: none; s2, fast; or zstd, small",
		set: setCompress, Get: func(c *Config) any { return c.Store.Compress.String() },
	},
	file("encrypt-key-file", "key to encrypt the log with: 32 bytes in hex or base64, readable by its owner alone",
		func(c *Config) *string { return &c.Store.KeyFile }),
	file("encrypt-old-key-file", "former key of the log; files that have it are written again with the new one",
		func(c *Config) *string { return &c.Store.OldKeyFile }),
	{
		Name: "stream-memory", Value: "SIZE", Default: auto,
		Usage: "memory for streams, beyond which XADD is refused; auto is a quarter of max-memory",
		set:   setStreamMemory, Get: func(c *Config) any { return c.Store.Memory },
	},
	{
		Name: "compact-rate", Value: "SIZE", Default: "64MiB", Usage: "bytes a second that giving back space reads and writes; 0 is no bound",
		set: setCompactRate, Get: func(c *Config) any { return c.Store.CompactRate },
	},
	streamSetting(retention, "RULES", "", "what streams keep, by their names, e.g. 'logs.* age=7d bytes=10gb; * count=1000000'; see CONFIG SET"),
	streamSetting(durable, "GLOBS", "", "topics that streams keep, by globs, e.g. 'orders.* jobs'; see CONFIG SET"),
	streamSetting("stream-idmp-duration", "SECONDS", "100", "how long a new stream keeps the ids of IDMP; see CONFIG SET"),
	streamSetting("stream-idmp-maxsize", "NUMBER", "100", "how many ids of IDMP a new stream keeps for each producer"),
	size("unsynced", "64MiB", "how much of the log may wait for its sync; beyond it, clients that append wait",
		func(c *Config) *int { return &c.Store.Unsynced }),
	{
		Name: "cluster-name", Value: "NAME", Usage: "name of this node among several with one order, which need dir; see docs/cluster.md",
		set: func(c *Config, text string) error { c.Cluster.Name = text; return nil },
		Get: func(c *Config) any { return c.Cluster.Name },
	},
	address("cluster-listen", none, "where to listen for other nodes, as they dial it",
		func(c *Config) *string { return &c.Cluster.Listen }),
	{
		Name: "cluster-bootstrap", Value: "NODES", Usage: "the nodes that a new cluster begins with, e.g. a=10.0.0.1:9001,b=10.0.0.2:9001,c=10.0.0.3:9001",
		set: setBootstrap, Get: func(c *Config) any { return c.Cluster.bootstrap },
	},
	file("cluster-tls-cert", "certificate of this node, in PEM, with the host at which the others dial it",
		func(c *Config) *string { return &c.Cluster.TLS.Cert }),
	file("cluster-tls-key", "its private key, in PEM, in a file that only its owner can read",
		func(c *Config) *string { return &c.Cluster.TLS.Key }),
	file("cluster-tls-client-ca", "verify the certificates of other nodes against these, in PEM",
		func(c *Config) *string { return &c.Cluster.TLS.ClientCA }),
	{
		Name: "cluster-clients", Value: "HOST:PORT", Usage: "where clients reach this node: one that stops names another's to its clients",
		set: setClusterClients, Get: func(c *Config) any { return c.Cluster.Clients },
	},
	duration("cluster-election", "500ms", "how long the leader may be silent until another is elected",
		func(c *Config) *time.Duration { return &c.Cluster.Election }),
	duration("cluster-timeout", "2s", "how long a command may wait for a majority of the nodes",
		func(c *Config) *time.Duration { return &c.Cluster.Timeout }),
	count("max-subscriptions", "1048576", "topics and patterns that one connection may subscribe to",
		func(c *Config) *int { return &c.Server.MaxSubscriptions }),
	count("max-predicates", "1000", "predicates that one connection may hold",
		func(c *Config) *int { return &c.Server.MaxPredicates }),
	size("max-predicate", "4KiB", "longest predicate",
		func(c *Config) *int { return &c.Server.MaxPredicate }),
	size("max-predicate-payload", "1MiB", "longest message that predicates evaluate",
		func(c *Config) *int { return &c.Server.MaxPredicatePayload }),
	duration("keep-alive", "60s", "probe a connection that is silent for so long",
		func(c *Config) *time.Duration { return &c.Server.KeepAlive }),
	{
		Name: "slow-consumer", Value: "POLICY", Default: outbox.Disconnect.String(),
		Usage:   "when a subscriber is too slow: disconnect, drop-newest or drop-oldest",
		Choices: []string{outbox.Disconnect.String(), outbox.DropNewest.String(), outbox.DropOldest.String()},
		set: func(c *Config, text string) (err error) {
			c.Server.SlowConsumer, err = outbox.ParsePolicy(text)
			return err
		},
		Get: func(c *Config) any { return c.Server.SlowConsumer.String() },
	},
	size("slow-hard", "32MiB", "slow-consumer applies when this much is queued for a subscriber",
		func(c *Config) *int { return &c.Server.SlowHard }),
	size("slow-soft", "8MiB", "evict a subscriber with this much queued for slow-time",
		func(c *Config) *int { return &c.Server.SlowSoft }),
	duration("slow-time", "60s", "see slow-soft; also how long a client may read nothing at all",
		func(c *Config) *time.Duration { return &c.Server.SlowTime }),
	file("aclfile", "users and their permissions, in Redis' syntax",
		func(c *Config) *string { return &c.Server.ACLFile }),
	{
		Name: "requirepass", Value: "PASSWORD",
		Usage: "the default user's password; others on this machine see flags, so prefer env",
		set: func(c *Config, text string) error {
			c.Server.RequirePassword, c.hasPassword = text, text != ""
			return nil
		},
		Get: func(c *Config) any { return c.hasPassword }, // the log shows whether there is one, and no more
	},
	{
		Name: "requirepass-file", Value: "FILE", Usage: "in place of requirepass: the password is the first line of this file",
		set: setPasswordFile, Get: func(c *Config) any { return c.passwordFile },
	},
	duration("auth-timeout", "10s", "time to authenticate, if that is required",
		func(c *Config) *time.Duration { return &c.Server.AuthTimeout }),
	duration("drain-timeout", "5s", "time for a closing connection to read what is queued for it",
		func(c *Config) *time.Duration { return &c.Server.DrainTimeout }),
	{
		Name: "log-level", Value: "LEVEL", Default: "info", Usage: "trace, debug, info, warn or error",
		Choices: []string{"trace", "debug", "info", "warn", "error"},
		set:     setLogLevel, Get: func(c *Config) any { return c.LogLevel.String() },
	},
	{
		Name: "log-format", Value: "FORMAT", Default: "auto", Usage: "console, json, or auto: console on a terminal",
		Choices: []string{FormatAuto, FormatConsole, FormatJSON},
		set:     setLogFormat, Get: func(c *Config) any { return c.LogFormat },
	},
}

var bools = []string{"true", "false"}

// Settings are all settings, in the order of the help.
func Settings() []Setting { return settingsTable }

// Env is the name of a setting's environment variable.
func (s *Setting) Env() string { return EnvName(s.Name) }

// EnvName is the environment variable that stands in for a flag.
func EnvName(name string) string {
	return "CONCH_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// size makes a setting that is a number of bytes.
func size(name, fallback, usage string, field func(*Config) *int) Setting {
	return Setting{
		Name: name, Value: "SIZE", Default: fallback, Usage: usage,
		set: func(c *Config, text string) (err error) { *field(c), err = ParseSize(text); return err },
		Get: func(c *Config) any { return *field(c) },
	}
}

func count(name, fallback, usage string, field func(*Config) *int) Setting {
	return Setting{
		Name: name, Value: "NUMBER", Default: fallback, Usage: usage,
		set: func(c *Config, text string) (err error) { *field(c), err = ParseCount(text); return err },
		Get: func(c *Config) any { return *field(c) },
	}
}

func duration(name, fallback, usage string, field func(*Config) *time.Duration) Setting {
	return Setting{
		Name: name, Value: "TIME", Default: fallback, Usage: usage,
		set: func(c *Config, text string) (err error) { *field(c), err = ParseDuration(text); return err },
		Get: func(c *Config) any { return field(c).String() },
	}
}

// address makes a setting that is an address to listen on. An empty field means none.
func address(name, fallback, usage string, field func(*Config) *string) Setting {
	return Setting{
		Name: name, Value: "ADDRESS", Default: fallback, Usage: usage,
		set: func(c *Config, text string) (err error) { *field(c), err = parseAddress(text); return err },
		Get: func(c *Config) any { return cmp.Or(*field(c), none) },
	}
}

// file makes a setting that is the name of a file. Only opening it shows whether the file exists.
func file(name, usage string, field func(*Config) *string) Setting {
	return Setting{
		Name: name, Value: "FILE", Usage: usage,
		set: func(c *Config, text string) error { *field(c) = text; return nil },
		Get: func(c *Config) any { return *field(c) },
	}
}

// Lookup finds an environment variable, as os.LookupEnv does.
type Lookup func(name string) (value string, ok bool)

// rawValue is a value as it was written, and its source for error messages.
type rawValue struct{ text, from string }

// sources are where settings come from, the strongest first. The defaults of the table come last.
type sources []func(s *Setting) (rawValue, bool)

// resolve takes each setting from the strongest source that has it. Weaker values are not parsed: a flag can overrule a
// value in the file that this version of conch refuses.
func (from sources) resolve() (*Config, error) {
	c := &Config{}
	byDefault := make(map[string]bool)
	for i := range settingsTable {
		s := &settingsTable[i]
		g, ok := from.find(s)
		byDefault[s.Name] = !ok
		if err := s.set(c, g.text); err != nil {
			return nil, fmt.Errorf("%s: %w", g.from, err)
		}
	}
	o := &c.Server
	if byDefault["slow-soft"] {
		o.SlowSoft = min(o.SlowSoft, o.SlowHard) // lowering the hard limit alone lowers both
	}
	if o.SlowSoft > o.SlowHard {
		return nil, fmt.Errorf("slow-soft (%d bytes) is over slow-hard (%d bytes), where it has no effect", o.SlowSoft, o.SlowHard)
	}
	if c.autoRecent {
		o.Recent = c.recentByListeners()
	}
	if c.autoStreamMemory {
		c.Store.Memory = o.MaxMemory / 4
	}
	c.Store.Settings = c.givenStreamSettings(byDefault)
	if err := c.checkStore(byDefault["fsync"]); err != nil {
		return nil, err
	}
	if err := c.checkCluster(); err != nil {
		return nil, err
	}
	if err := c.checkListeners(byDefault["tls-client-auth"]); err != nil {
		return nil, err
	}
	return c, nil
}

func (from sources) find(s *Setting) (g rawValue, ok bool) {
	for _, source := range from {
		if g, ok := source(s); ok {
			return g, true
		}
	}
	return rawValue{text: s.Default, from: "default of " + s.Name}, false
}

// fromEnv looks a setting up in the environment. An empty variable counts as unset: container files pass unset variables
// on as empty ones.
func fromEnv(env Lookup) func(*Setting) (rawValue, bool) {
	return func(s *Setting) (rawValue, bool) {
		text, _ := env(s.Env())
		return rawValue{text: text, from: "env " + s.Env()}, text != ""
	}
}
