package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const natsVersion = "v2.15.2"

// waiting is how many bytes may wait for one subscriber before a server disconnects it. It is over everything that the
// generator keeps in flight, so that nobody is evicted, and the same for all: 64 MiB is what NATS has by default.
const waiting = "64mb"

// server is a program to compare. Its settings are the defaults but for what command says.
type server struct {
	name    string
	find    func(ctx context.Context) (binary string, err error) // errAbsent: it may be left out
	command func(port string) []string                           // arguments
	version []string                                             // arguments that make it tell
	binary  string                                               // found
}

// errAbsent says that a server which is welcome but not required is not installed.
var errAbsent = errors.New("is not on the PATH")

// servers are in the order in which the first round goes.
var servers = []*server{
	{
		name: "conch", find: buildConch, version: []string{"--version"},
		command: func(port string) []string {
			return []string{"127.0.0.1:" + port, "--slow-hard", waiting, "--slow-soft", waiting, "--log-level", "warn"}
		},
	},
	{
		name: "redis", version: []string{"--version"}, command: redisArguments,
		find: func(context.Context) (string, error) {
			binary, err := exec.LookPath("redis-server")
			if err != nil {
				return "", errors.New("redis-server is not on the PATH; on Debian: apt-get install redis-server")
			}
			return binary, nil
		},
	},
	{
		name: "valkey", version: []string{"--version"}, command: redisArguments,
		find: func(context.Context) (string, error) {
			binary, err := exec.LookPath("valkey-server")
			if err != nil {
				return "", errAbsent
			}
			return binary, nil
		},
	},
	{
		name: "nats", find: installNATS, version: []string{"--version"},
		command: func(port string) []string { return []string{"-a", "127.0.0.1", "-p", port} },
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
	return binary, goTool(ctx, nil, "-C", "..", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".")
}

// installNATS installs the pinned version, once.
func installNATS(ctx context.Context) (string, error) {
	dir, err := filepath.Abs(binaries)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "nats-server")
	if out, err := exec.CommandContext(ctx, binary, "--version").Output(); err == nil &&
		strings.Contains(string(out), natsVersion) {
		return binary, nil
	}
	return binary, goTool(ctx, []string{"GOBIN=" + dir}, "install", "github.com/nats-io/nats-server/v2@"+natsVersion)
}

func goTool(ctx context.Context, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// describe is what the output says of a server: its version and how it was started.
func (s *server) describe(ctx context.Context) description {
	out, err := exec.CommandContext(ctx, s.binary, s.version...).CombinedOutput()
	said, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil {
		said = "unknown version"
	}
	var args []string
	for _, a := range s.command("PORT") {
		if a == "" || strings.Contains(a, " ") {
			a = "'" + a + "'"
		}
		args = append(args, a)
	}
	return description{
		Name: s.name, Version: said,
		Command: strings.Join(append([]string{filepath.Base(s.binary)}, args...), " "),
	}
}

type description struct{ Name, Version, Command string }

// freePort is a loopback port that nobody listened on a moment ago.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String()) // an address of the net package is one
	return port, l.Close()
}

func serverNamed(name string) *server {
	for _, s := range servers {
		if s.name == name {
			return s
		}
	}
	return nil
}
