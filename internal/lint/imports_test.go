package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rule lists the allowed imports of one package. All others are forbidden.
type rule struct {
	own      []string // packages of this module
	others   []string // modules of others, with all their packages
	notStd   []string // forbidden packages of the standard library, with those below them
	std      []string // packages below those that are allowed all the same
	noClock  bool     // may use times, but neither read the clock nor wait
	anything bool
}

// The direction of all imports is main, cli, daemon, config, server and web, command, outbox, then broker and protocol, which do
// not know each other. What a package may not import it cannot do: the broker can neither lock nor wait nor log nor read a clock, the
// protocol can neither read a socket nor share state. What serves tests stays out of the program: no rule allows it.
var rules = map[string]rule{
	"broker": {
		own:    []string{"internal/invariant"},
		notStd: []string{"net", "os", "log", "time", "sync"},
	},
	"protocol": {
		others: []string{"github.com/tidwall/redcon"},
		notStd: []string{"net", "os", "sync", "time"},
	},
	"internal/command": {
		own: []string{
			"broker", "protocol", "internal/acl", "internal/aclfile", "internal/cputime", "internal/entry", "internal/filter", "internal/invariant", "internal/keyargs",
			"internal/outbox",
			"internal/position", "internal/recent", "internal/stream", "internal/uptime",
		},
		others: []string{"github.com/rs/zerolog", "github.com/rivo/uniseg"},
		notStd: []string{"net", "log"},
		std:    []string{"net/netip"},
	},
	"server": {
		own: []string{
			"broker", "protocol", "internal/command", "internal/sockio", "internal/sockwriter", "internal/store", "internal/uptime",
		},
		others: []string{"github.com/rs/zerolog"},
	},
	"internal/web": {
		own: []string{
			"broker", "protocol", "internal/command", "internal/entry", "internal/metrics", "internal/outbox", "internal/position",
			"internal/sockio", "internal/sockwriter", "internal/uplot", "internal/uptime",
		},
		others: []string{"github.com/rs/zerolog", "github.com/gobwas/ws"},
		notStd: []string{"os", "os/exec"},
	},
	"internal/connect": {
		own:    []string{"broker", "protocol", "internal/command", "internal/entry", "internal/filter", "internal/outbox", "internal/position"},
		others: []string{"github.com/rs/zerolog", "github.com/tidwall/gjson"},
		notStd: []string{"net", "log"},
		std:    []string{"net/url"},
	},
	"internal/connect/local": {
		own: []string{
			"broker", "protocol", "internal/command", "internal/connect", "internal/entry", "internal/filter", "internal/outbox", "internal/position",
			"internal/stream",
		},
		notStd: []string{"net", "os", "log"},
	},
	"internal/connect/systems": {own: []string{
		"internal/connect", "internal/connect/rabbitmq", "internal/connect/nats", "internal/connect/redis", "internal/connect/mqtt",
		"internal/connect/kafka", "internal/connect/websocket", "internal/connect/sse", "internal/connect/webhook", "internal/connect/stdio",
		"internal/connect/file", "internal/connect/exec",
	}},
	"internal/connect/rabbitmq":   driver("github.com/rabbitmq/amqp091-go"),
	"internal/connect/nats":       driver("github.com/nats-io/nats.go"),
	"internal/connect/redis":      {own: []string{"internal/connect", "client", "internal/entry"}}, // an entry is a message as in conch
	"internal/connect/mqtt":       driver("github.com/eclipse/paho.golang"),
	"internal/connect/kafka":      driver("github.com/twmb/franz-go"),
	"internal/connect/redirect":   driver(""),
	"internal/connect/websocket":  {own: []string{"internal/connect", "internal/connect/redirect"}, others: []string{"github.com/coder/websocket"}},
	"internal/connect/sse":        {own: []string{"internal/connect", "internal/connect/redirect"}},
	"internal/connect/webhook":    driver(""),
	"internal/connect/stdio":      driver(""),
	"internal/connect/file":       driver("github.com/fsnotify/fsnotify"),
	"internal/connect/exec":       driver(""),
	"internal/connect/drivertest": {anything: true},

	"internal/cluster": {
		own:    []string{"internal/log", "internal/sockio"},
		others: []string{"github.com/hashicorp/raft", "github.com/hashicorp/go-hclog"},
		notStd: []string{"os", "log", "net/http"},
	},
	"main": {own: []string{"internal/cli"}},
	"internal/cli": {
		own: []string{"protocol", "client", "internal/backup", "internal/bench", "internal/config", "internal/daemon", "internal/store"},
		others: []string{
			"github.com/urfave/cli", "github.com/mattn/go-isatty", "github.com/schollz/progressbar", "golang.org/x/sys", "golang.org/x/term", "github.com/rivo/uniseg",
		},
	},
	"client":    {own: []string{"internal/invariant"}}, // else the standard library alone: applications import it
	"conchtest": {own: []string{"broker", "server"}},   // their tests import it

	"internal/acl": {notStd: []string{"net", "os", "log", "sync", "context"}, noClock: true},
	"internal/filter": {
		others:  []string{"github.com/expr-lang/expr", "github.com/tidwall/gjson"},
		notStd:  []string{"net", "os", "log", "time"},
		noClock: true,
	},
	"internal/recent":   {own: []string{"internal/outbox"}, notStd: []string{"net", "os", "log"}, noClock: true},
	"internal/position": {notStd: []string{"net", "os", "log", "sync"}, noClock: true},
	"internal/outbox": {
		own:    []string{"protocol", "internal/invariant", "internal/uptime"},
		others: []string{"github.com/rs/zerolog"},
		notStd: []string{"net", "os", "log"},
	},
	"internal/aclfile":  {own: []string{"internal/acl"}, others: []string{"github.com/rs/zerolog"}, notStd: []string{"net", "sync"}},
	"internal/entry":    {own: []string{"protocol", "internal/filter", "internal/stream"}, notStd: []string{"net", "os", "log", "sync", "time"}},
	"internal/keyargs":  {own: []string{"protocol", "internal/stream"}, notStd: []string{"net", "os", "log", "sync", "time"}},
	"internal/stream":   {own: []string{"broker", "internal/invariant"}, notStd: []string{"net", "os", "log", "sync", "time"}},
	"internal/testseed": {},
	"internal/uptime":   {},
	"internal/cputime":  {notStd: []string{"net", "os", "log", "sync"}},
	"internal/sockio":   {notStd: []string{"os", "log", "sync"}},

	"internal/store": {
		own: []string{
			"broker", "internal/backup", "internal/command", "internal/entry", "internal/filter", "internal/log", "internal/logclock",
			"internal/position", "internal/stream",
		},
		others: []string{"github.com/rs/zerolog"},
		notStd: []string{"net", "os", "log"},
	},
	"internal/node": {
		own:    []string{"internal/backup", "internal/cluster", "internal/command", "internal/log", "internal/position", "internal/store", "internal/uptime"},
		others: []string{"github.com/rs/zerolog"},
		notStd: []string{"net", "log"},
	},
	"internal/backup":   {own: []string{"internal/log"}, notStd: []string{"net", "log", "sync"}},
	"internal/logclock": {others: []string{"golang.org/x/sys"}, notStd: []string{"net", "os", "log", "sync"}},

	"internal/sockwriter": {
		own:    []string{"internal/command", "internal/outbox", "internal/sockio"},
		notStd: []string{"net", "log", "context"},
	},
	"internal/config": {
		own: []string{
			"internal/cluster", "server", "internal/command", "internal/connect", "internal/connect/systems", "internal/outbox", "internal/store", "internal/stream",
			"internal/tlsfiles",
		},
		others: []string{"github.com/BurntSushi/toml", "github.com/rs/zerolog"},
	},
	"internal/daemon": {
		own: []string{
			"broker", "server", "internal/aclfile", "internal/cluster", "internal/config", "internal/connect", "internal/connect/local", "internal/cputime", "internal/node", "internal/store", "internal/tlsfiles",
			"internal/web",
		},
		others: []string{"github.com/rs/zerolog", "github.com/mattn/go-isatty"},
	},
	"internal/metrics":  {own: []string{"internal/command"}, others: []string{"github.com/VictoriaMetrics/metrics"}, notStd: []string{"net", "log", "sync"}},
	"internal/tlsfiles": {others: []string{"github.com/fsnotify/fsnotify", "github.com/rs/zerolog"}},
	"internal/uplot":    {},
	"internal/bench": {
		own: []string{"internal/uplot"},
		others: []string{
			"github.com/HdrHistogram/hdrhistogram-go", "github.com/schollz/progressbar", "golang.org/x/sys", "golang.org/x/term", "github.com/rivo/uniseg",
		},
	},
	"internal/log":        {own: []string{"internal/invariant"}, others: []string{"github.com/klauspost/compress"}, notStd: []string{"net", "log"}},
	"internal/attack":     {},
	"internal/invariant":  {},
	"internal/harness":    {anything: true},
	"internal/faulty":     {own: []string{"internal/log"}, others: []string{"golang.org/x/sys"}},
	"internal/history":    {notStd: []string{"net", "os", "log", "sync"}, noClock: true},
	"examples/chat":       {},
	"examples/sensors":    {own: []string{"client"}},
	"examples/work-queue": {own: []string{"client"}},
	"packaging/release":   {}, // makes what users download; of conch it builds the binary
	"test/apps":           {}, // tests alone
	"test/e2e":            {}, // tests, and a word about them
	"test/cluster":        {}, // tests alone
	"test/connect":        {}, // tests alone
	"test/soak":           {}, // the same, and what judges them
}

// driver is the rule of a system that conch connects to: the contract, and the system's own library. What a driver cannot reach it does
// not depend on: no core, no log, no settings.
func driver(library string) rule {
	r := rule{own: []string{"internal/connect"}}
	if library != "" {
		r.others = []string{library}
	}
	return r
}

func TestImports(t *testing.T) {
	all, _ := sources(t)
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			for _, p := range s.imports {
				assert.Empty(t, breach(s.pkg, p))
			}
			assert.Contains(t, rules, s.pkg, "a new package: add it to the rules, with what it may import")
			if rules[s.pkg].noClock {
				assert.Empty(t, clockUses(s.tree), "the time is an argument here")
			}
		})
	}
}

// breach describes a forbidden import, or returns an empty string.
func breach(pkg, imported string) string {
	r, ok := rules[pkg]
	if !ok || r.anything {
		return ""
	}
	if p, ok := strings.CutPrefix(imported, module+"/"); ok {
		for _, own := range r.own {
			if p == own {
				return ""
			}
		}
		return fmt.Sprintf("%s may not import %s of this module", pkg, p)
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		for _, not := range r.notStd {
			if isOrBelow(imported, not) && !slices.Contains(r.std, imported) {
				return fmt.Sprintf("%s may not import %s", pkg, imported)
			}
		}
		return ""
	}
	for _, other := range r.others {
		if isOrBelow(imported, other) {
			return ""
		}
	}
	return fmt.Sprintf("%s may not depend on %s", pkg, imported)
}

// clockUses returns the uses of the clock: reading it, and waiting.
func clockUses(tree *ast.File) (found []string) {
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}
	for n := range ast.Preorder(tree) {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if of, ok := s.X.(*ast.Ident); ok && of.Name == "time" && slices.Contains(clock, s.Sel.Name) {
				found = append(found, "time."+s.Sel.Name)
			}
		}
	}
	return found
}

func TestClockUses(t *testing.T) {
	const code = `package p; import "time"; var a = time.Now(); func f(t time.Time) bool { time.Sleep(1); return a.After(t) }`
	tree, err := parser.ParseFile(token.NewFileSet(), "p.go", code, parser.SkipObjectResolution)
	require.NoError(t, err)
	assert.Equal(t, []string{"time.Now", "time.Sleep"}, clockUses(tree))
}

func isOrBelow(p, top string) bool { return p == top || strings.HasPrefix(p, top+"/") }

// The rules themselves, against imports that must and must not be allowed.
func TestTheRules(t *testing.T) {
	tests := []struct{ sentence, pkg, allowed, forbidden string }{
		{"the broker has the standard library and the invariants", "broker", "context iter maps @internal/invariant", ""},
		{"the broker has no mutex and no atomics", "broker", "", "sync sync/atomic"},
		{
			"the broker knows no network, no files, no log and no clock",
			"broker", "", "net net/netip os os/signal log log/slog time",
		},
		{"the broker knows neither the wire nor the sockets", "broker", "", "@protocol @server github.com/tidwall/redcon"},
		{
			"the protocol has a parser and no socket",
			"protocol", "bytes strconv github.com/tidwall/redcon", "net os sync sync/atomic time",
		},
		{"the protocol does not know the broker", "protocol", "", "@broker @server @internal/invariant"},
		{"the rules of access are pure", "internal/acl", "crypto/sha256 time", "net os log sync context @broker @protocol @server"},
		{
			"recent messages know neither the core nor a clock",
			"internal/recent", "sync sync/atomic @internal/outbox", "net os log @broker @protocol @internal/command",
		},
		{"streams are pure", "internal/stream", "io iter crypto/sha256 hash/crc32 @broker @internal/invariant", "net os log sync time @protocol @internal/command"},
		{"entries as messages are pure", "internal/entry", "slices @protocol @internal/filter @internal/stream", "net os log sync time @broker @internal/command"},
		{"arguments of keys are pure", "internal/keyargs", "math @protocol @internal/stream", "net os log sync time @broker @internal/command"},
		{"the log has files and goroutines, and knows no stream", "internal/log", "os sync syscall time @internal/invariant", "net log @broker @protocol @internal/command"},
		{"positions are pure", "internal/position", "regexp time", "net os log sync @broker @protocol @internal/filter"},
		{
			"predicates are pure",
			"internal/filter", "sync unsafe encoding/json github.com/expr-lang/expr/ast github.com/tidwall/gjson",
			"net os log time @broker @protocol @server github.com/rs/zerolog",
		},
		{
			"the load generator knows a server by its sockets alone",
			"internal/bench", "net os github.com/HdrHistogram/hdrhistogram-go", "@server @protocol @broker github.com/rs/zerolog",
		},
		{
			"the files of TLS know neither server nor settings",
			"internal/tlsfiles", "crypto/tls os github.com/fsnotify/fsnotify github.com/rs/zerolog", "@server @protocol @broker",
		},
		{
			"an outbox encodes what is lost, and knows neither the core nor a socket",
			"internal/outbox", "sync sync/atomic time @protocol @internal/invariant @internal/uptime", "net os log @broker @server @internal/acl @internal/filter",
		},
		{"the ACL file knows the rules and no connection", "internal/aclfile", "os @internal/acl github.com/rs/zerolog", "net sync @server @protocol @broker"},
		{"the socket calls know no connection and no protocol", "internal/sockio", "net syscall", "os log sync @server @protocol @broker"},
		{
			"writers empty outboxes into sockets, and do not open, read or close them",
			"internal/sockwriter", "os sync syscall @internal/command @internal/outbox @internal/sockio", "net net/http log @server @broker @protocol @internal/web",
		},
		{"metrics know what is counted, and no socket", "internal/metrics", "io runtime @internal/command github.com/VictoriaMetrics/metrics", "net net/http log sync @server @broker"},
		{"the invariants have the standard library", "internal/invariant", "fmt", "@broker github.com/rs/zerolog"},
		{
			"HTTP has its own listener, and reaches the core by commands",
			"internal/web", "net/http crypto/tls @broker @protocol @internal/command @internal/outbox", "os @server @client @internal/acl @internal/config",
		},
		{
			"commands have everything but a socket",
			"internal/command", "net/netip os sync time @broker @protocol @internal/acl @internal/aclfile @internal/filter @internal/outbox",
			"net net/http log @server @client @internal/sockio @internal/config github.com/urfave/cli/v3",
		},
		{
			"the server has the sockets, and leaves what bytes mean to the commands",
			"server", "net sync time @broker @protocol @internal/command @internal/sockio @internal/sockwriter github.com/rs/zerolog",
			"github.com/urfave/cli/v3 @server @internal/acl @internal/filter @internal/harness",
		},
		{"main imports the command line alone", "main", "os @internal/cli", "@internal/daemon @internal/config @server github.com/urfave/cli/v3"},
		{
			"the command line has the daemon, the client and a flag library",
			"internal/cli", "os @protocol @client @internal/bench @internal/config @internal/daemon github.com/urfave/cli/v3 golang.org/x/sys/unix",
			"@server @broker @internal/harness github.com/BurntSushi/toml github.com/rs/zerolog",
		},
		{
			"the daemon builds and stops all that runs, and knows no command line",
			"internal/daemon", "os @broker @server @internal/config @internal/tlsfiles github.com/rs/zerolog",
			"@client @protocol @internal/bench github.com/urfave/cli/v3",
		},
		{
			"config knows the options of the server, and no flag library",
			"internal/config", "io/fs @server @internal/stream @internal/tlsfiles github.com/BurntSushi/toml",
			"@broker @protocol @client @internal/bench github.com/urfave/cli/v3",
		},
		{
			"the client knows a server by its sockets alone",
			"client", "net crypto/tls", "@server @protocol @broker github.com/rs/zerolog",
		},
		{
			"a driver knows the contract of connectors and its library",
			"internal/connect/nats", "net os sync time @internal/connect github.com/nats-io/nats.go/jetstream",
			"@broker @protocol @server @client @internal/config @internal/connect/systems github.com/rs/zerolog github.com/twmb/franz-go/pkg/kgo",
		},
		{"names that only begin alike are not alike", "broker", "osx timetable", ""},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			for _, p := range paths(test.allowed) {
				assert.Empty(t, breach(test.pkg, p))
			}
			for _, p := range paths(test.forbidden) {
				assert.NotEmpty(t, breach(test.pkg, p), "%s imports %s", test.pkg, p)
			}
		})
	}
	t.Run("nothing imports the server but config, daemon and conchtest", func(t *testing.T) {
		for pkg, r := range rules {
			switch pkg {
			case "internal/config", "internal/daemon", "internal/harness", "internal/connect/drivertest", "conchtest":
			default:
				assert.NotContains(t, r.own, "server", pkg)
				assert.False(t, r.anything, pkg)
			}
		}
	})
	t.Run("what serves tests is for tests alone", func(t *testing.T) {
		kit := "github.com/stretchr/testify/require go.uber.org/goleak @conchtest @internal/harness @internal/connect/drivertest @internal/faulty @internal/lint"
		for pkg, r := range rules {
			if r.anything {
				continue
			}
			for _, p := range paths(kit) {
				assert.NotEmpty(t, breach(pkg, p), "%s imports %s", pkg, p)
			}
		}
	})
}

// paths splits import paths at blanks; @ stands for this module.
func paths(s string) []string {
	return strings.Fields(strings.ReplaceAll(s, "@", module+"/"))
}
