// Command run starts a server, has every client drive it, and prints a table of what came of it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/conchmq/conch/test/compat/go/check"
)

// each bounds the run of one program.
const each = 10 * time.Minute

const begin, end = "<!-- clients:begin -->", "<!-- clients:end -->"

// program is one client in one protocol.
type program struct {
	client, protocol string
	command          []string // {go} is the folder of the built programs
	after            []string // arguments after host and port
}

var programs = []program{
	{"go-redis", "RESP3", []string{"{go}/goredis"}, []string{"RESP3"}},
	{"go-redis", "RESP2", []string{"{go}/goredis"}, []string{"RESP2"}},
	{"rueidis", "RESP3", []string{"{go}/rueidis"}, []string{"RESP3"}},
	{"rueidis", "RESP2", []string{"{go}/rueidis"}, []string{"RESP2"}},
	{"redigo", "RESP2", []string{"{go}/redigo"}, []string{"RESP2"}},
	{"node-redis", "RESP3", []string{"node", "node/node-redis.js"}, []string{"RESP3"}},
	{"node-redis", "RESP2", []string{"node", "node/node-redis.js"}, []string{"RESP2"}},
	{"node-redis 5", "RESP3", []string{"node", "node/node-redis.js"}, []string{"RESP3", "redis5"}},
	{"node-redis 5", "RESP2", []string{"node", "node/node-redis.js"}, []string{"RESP2", "redis5"}},
	{"ioredis", "RESP3", []string{"node", "node/ioredis.js"}, []string{"RESP3"}},
	{"ioredis", "RESP2", []string{"node", "node/ioredis.js"}, []string{"RESP2"}},
	{"ioredis 5", "RESP2", []string{"node", "node/ioredis.js"}, []string{"RESP2", "ioredis5"}},
	{"redis-py with hiredis", "RESP2", []string{"/usr/bin/python3", "python/redis-py.py"}, []string{"RESP2"}},
	{"redis-py", "RESP2", []string{"/usr/bin/python3", "python/redis-py.py"}, []string{"RESP2", "pure"}},
	{"redis-rb", "RESP2", []string{"/usr/bin/ruby", "ruby/redis-rb.rb"}, nil},
	{"phpredis", "RESP2", []string{"/usr/bin/php", "php/phpredis.php"}, nil},
	{"redis-cli", "RESP3", []string{"{go}/rediscli"}, []string{"RESP3"}},
	{"redis-cli", "RESP2", []string{"{go}/rediscli"}, []string{"RESP2"}},
	{"redis-benchmark", "RESP3", []string{"{go}/redisbenchmark"}, []string{"RESP3"}},
	{"redis-benchmark", "RESP2", []string{"{go}/redisbenchmark"}, []string{"RESP2"}},
	{"Socket.IO with node-redis", "RESP3", []string{"node", "node/socketio.js"}, []string{"RESP3", "redis"}},
	{"Socket.IO with ioredis", "RESP2", []string{"node", "node/socketio.js"}, []string{"RESP2", "ioredis"}},
	{"Watermill", "RESP3", []string{"{go}/watermill"}, []string{"RESP3"}},
	{"Watermill", "RESP2", []string{"{go}/watermill"}, []string{"RESP2"}},
}

func main() {
	folder := flag.String("folder", "..", "the folder compat")
	server := flag.String("server", "", "the conch to start, instead of building one")
	redis := flag.Bool("redis", false, "start redis-server instead: what passes here says that the programs are right")
	nodes := flag.Bool("cluster", false, "start three nodes of a cluster: the clients use one of them")
	only := flag.String("only", "", "run only the clients whose name contains this")
	tap := flag.String("tap", "", "a folder for the bytes of every connection, as sent and as answered")
	update := flag.Bool("update-docs", false, "write the table into docs/clients.md")
	flag.Parse()
	ok, err := run(*folder, options{*server, *redis, *nodes, *only, *tap, *update})
	if err != nil {
		fmt.Fprintln(os.Stderr, "compat:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	server    string
	redis     bool
	cluster   bool
	only, tap string
	update    bool
}

func run(folder string, o options) (bool, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return false, err
	}
	temp, err := os.MkdirTemp("", "compat")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(temp) }() // a leftover in the temporary folder harms nobody
	if err := build(filepath.Join(folder, "go"), temp+"/", "./..."); err != nil {
		return false, err
	}
	if o.server == "" && !o.redis {
		o.server = filepath.Join(temp, "conch")
		if err := build(filepath.Dir(filepath.Dir(folder)), o.server, "."); err != nil {
			return false, err
		}
	}
	address, stop, err := o.start(temp)
	if err != nil {
		return false, err
	}
	defer stop()
	if o.tap != "" {
		if address, err = tapped(address, o.tap); err != nil {
			return false, err
		}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false, err
	}

	table := "| client | version | protocol | result |\n|---|---|---|---|\n"
	all, ran := true, 0
	for _, p := range programs {
		if !strings.Contains(p.client, o.only) {
			continue
		}
		ran++
		args := append(append([]string{}, p.command...), host, port)
		args = append(args, p.after...)
		args[0] = strings.ReplaceAll(args[0], "{go}", temp)
		version, result, ok := play(folder, args, o.redis)
		all = all && ok
		table += fmt.Sprintf("| %s | %s | %s | %s |\n", p.client, version, p.protocol, result)
		fmt.Fprintf(os.Stderr, "%s %s: %s\n", p.client, p.protocol, result)
	}
	fmt.Fprint(os.Stdout, table)
	if ran == 0 {
		return false, fmt.Errorf("no client has %q in its name", o.only)
	}
	if o.update {
		if o.only != "" || o.redis || o.cluster || !all {
			return all, fmt.Errorf("docs/clients.md is left alone: only a run of all clients against one conch that passes is written there")
		}
		return all, write(filepath.Join(folder, "../../docs/clients.md"), table)
	}
	return all, nil
}

func build(folder, to, what string) error {
	command := exec.Command("go", "build", "-o", to, what)
	command.Dir = folder
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s in %s: %w\n%s", what, folder, err, out)
	}
	return nil
}

// play runs one program and reads the last line it prints.
func play(folder string, args []string, redis bool) (version, result string, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), each)
	defer cancel()
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Dir = folder
	command.WaitDelay = time.Second
	command.Env = append(os.Environ(), "CONCH=1")
	if redis {
		command.Env = append(os.Environ(), "CONCH=0")
	}
	var out, errors bytes.Buffer
	command.Stdout, command.Stderr = &out, &errors
	err := command.Run()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var r check.Report
	if bad := json.Unmarshal([]byte(lines[len(lines)-1]), &r); bad != nil {
		return "?", cell(fmt.Sprintf("failed: no report, %v: %s", err, errors.String())), false
	}
	for _, c := range r.Checks {
		if !c.OK {
			return r.Version, cell(fmt.Sprintf("failed: %s: %s", c.Name, c.Error)), false
		}
	}
	if err != nil || !r.OK || len(r.Checks) == 0 {
		return r.Version, cell(fmt.Sprintf("failed: %v", err)), false
	}
	return r.Version, "passes", true
}

// cell fits text into a table.
func cell(text string) string {
	text = strings.Join(strings.Fields(strings.ReplaceAll(text, "|", `\|`)), " ")
	if len(text) > 600 {
		text = text[:600] + "..."
	}
	return text
}

// write puts the table between its marks.
func write(name, table string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, foundEnd := strings.Cut(rest, end)
	if !found || !foundEnd {
		return fmt.Errorf("%s has no %s and %s", name, begin, end)
	}
	return os.WriteFile(name, []byte(before+begin+"\n"+table+end+after), 0o644)
}
