// Package servers finds, builds and starts the servers that are compared, and says on what machine.
package servers

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Conch is the name of the server that the others are held against.
const Conch = "conch"

const (
	natsVersion       = "v2.15.2"
	centrifugoVersion = "v6.9.1"
)

// waiting is how many bytes may wait for one subscriber before a server disconnects it. It is over everything that the
// generator keeps in flight, so that nobody is evicted, and the same for all: 64 MiB is what NATS has by default.
const waiting = "64mb"

// Server is a program to compare. Its settings are the defaults but for what command says.
type Server struct {
	Name    string
	find    func(ctx context.Context) (binary string, err error) // errAbsent: it may be left out
	command func(port string) []string                           // arguments
	large   []string                                             // further arguments, for messages of 16 MiB
	version []string                                             // arguments that make it tell; without any its build information does
	binary  string                                               // found
}

// errAbsent says that a server which is welcome but not required is not installed.
var errAbsent = errors.New("is not on the PATH")

// all are in the order in which they are described.
var all = []*Server{
	{
		Name: Conch, find: buildConch, version: []string{"--version"},
		command: func(port string) []string {
			return []string{"127.0.0.1:" + port, "--slow-hard", waiting, "--slow-soft", waiting, "--log-level", "warn"}
		},
	},
	{
		Name: "redis", version: []string{"--version"}, command: redisArguments,
		find: func(context.Context) (string, error) {
			binary, err := exec.LookPath("redis-server")
			if err != nil {
				return "", errors.New("redis-server is not on the PATH; on Debian: apt-get install redis-server")
			}
			return binary, nil
		},
	},
	{
		Name: "valkey", version: []string{"--version"}, command: redisArguments,
		find: func(context.Context) (string, error) {
			binary, err := exec.LookPath("valkey-server")
			if err != nil {
				return "", errAbsent
			}
			return binary, nil
		},
	},
	{
		Name: "nats", find: installNATS, version: []string{"--version"},
		command: func(port string) []string { return []string{"-a", "127.0.0.1", "-p", port} },
		large:   []string{"-c", largeNATS},
	},
	{
		// Its engine in memory is the default. Insecure means that a client needs no token, and its API no key.
		Name: "centrifugo", find: installCentrifugo,
		command: func(port string) []string {
			return []string{"--http_server.address", "127.0.0.1", "--http_server.port", port, "--client.insecure", "--http_api.insecure", "--log.level", "error"}
		},
	},
}

func redisArguments(port string) []string {
	return []string{
		"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no",
		"--client-output-buffer-limit", "pubsub " + waiting + " " + waiting + " 60",
	}
}

// binaries is where programs are built into; git does not see it.
const binaries = "bin"

// buildConch builds the tree that this program stands in.
func buildConch(ctx context.Context) (string, error) {
	binary, err := filepath.Abs(filepath.Join(binaries, "conch"))
	if err != nil {
		return "", err
	}
	return binary, goTool(ctx, nil, "-C", "../..", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".")
}

func installNATS(ctx context.Context) (string, error) {
	return install(ctx, "nats-server", "--version", "github.com/nats-io/nats-server/v2", natsVersion)
}

// The version of a binary that go install made is in its build information, and not in what it prints.
func installCentrifugo(ctx context.Context) (string, error) {
	return install(ctx, "centrifugo", "", "github.com/centrifugal/centrifugo/v6", centrifugoVersion)
}

// install installs the pinned version of a module's program, once. The binary tells its version with an argument; without
// one, go version -m does.
func install(ctx context.Context, name, argument, module, version string) (string, error) {
	dir, err := filepath.Abs(binaries)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, name)
	tell := []string{binary, argument}
	if argument == "" {
		tell = []string{"go", "version", "-m", binary}
	}
	if out, err := exec.CommandContext(ctx, tell[0], tell[1:]...).Output(); err == nil && strings.Contains(string(out), version) {
		return binary, nil
	}
	return binary, goTool(ctx, []string{"GOBIN=" + dir}, "install", module+"@"+version)
}

func goTool(ctx context.Context, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (s *Server) describe(ctx context.Context) Description {
	return Description{Name: s.Name, Version: s.tellVersion(ctx), Command: Shown(filepath.Base(s.binary), s.command("PORT"))}
}

// tellVersion is what the server prints of its version, or the version of the module that go install has built.
func (s *Server) tellVersion(ctx context.Context) string {
	if s.version == nil {
		built, err := buildinfo.ReadFile(s.binary)
		if err != nil {
			return "unknown version"
		}
		return fmt.Sprintf("%s %s (%s)", s.Name, built.Main.Version, built.GoVersion)
	}
	out, err := exec.CommandContext(ctx, s.binary, s.version...).CombinedOutput()
	if err != nil {
		return "unknown version"
	}
	said, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return said
}

// Shown is a command line with quotes where a shell needs them.
func Shown(program string, arguments []string) string {
	words := []string{program}
	for _, a := range arguments {
		if a == "" || strings.Contains(a, " ") {
			a = "'" + a + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// Description is what the output says of a server: its version and how it was started.
type Description struct{ Name, Version, Command string }

// Binary is the name of the program.
func (d Description) Binary() string {
	program, _, _ := strings.Cut(d.Command, " ")
	return program
}

// FreePort is a loopback port that nobody listened on a moment ago.
func FreePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String()) // an address of the net package is one
	return port, l.Close()
}

// Named is the server of a name, or nil.
func Named(name string) *Server {
	for _, s := range all {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Prepare finds, builds or installs servers, named in a list parted by commas, and returns the names of those that are
// there. Of those that may be absent, it says so to stderr. conch is the binary to take instead of building the tree.
// The directory must be that of this module.
func Prepare(ctx context.Context, list, conch string, stderr io.Writer) (map[string]bool, error) {
	there := map[string]bool{}
	for name := range strings.SplitSeq(list, ",") {
		s := Named(name)
		if s == nil {
			return nil, fmt.Errorf("there is no server %q", name)
		}
		find := s.find
		if name == Conch && conch != "" {
			find = func(context.Context) (string, error) { return exec.LookPath(conch) }
		}
		binary, err := find(ctx)
		if errors.Is(err, errAbsent) {
			fmt.Fprintf(stderr, "%s is left out: it %v\n", name, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		s.binary, there[name] = binary, true
	}
	return there, nil
}
