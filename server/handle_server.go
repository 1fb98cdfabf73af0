package server

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// wrongSubcommandArity is Redis' answer where arity depends on the subcommand's own arguments.
func (x *exchange) wrongSubcommandArity() {
	x.fail(protocol.ErrorArity(x.call.row.FullName()))
}

// command describes the commands: six of the ten fields that Redis gives, and empty ones for the rest.
func command(x *exchange) {
	top := topRows()
	x.array(len(top))
	for _, row := range top {
		x.commandEntry(row)
	}
}

func topRows() []*protocol.Row {
	var top []*protocol.Row
	for _, row := range protocol.Table {
		if !strings.Contains(row.Name, " ") {
			top = append(top, row)
		}
	}
	return top
}

func (x *exchange) commandEntry(row *protocol.Row) {
	subs := row.Subcommands()
	x.array(10)
	x.text(row.FullName())
	x.integer(int64(row.Arity))
	x.array(0) // flags
	x.integer(0)
	x.integer(0)
	x.integer(0) // first key, last key, step: there are no keys
	x.array(0)   // ACL categories
	x.array(0)   // tips
	x.array(0)   // key specifications
	x.array(len(subs))
	for _, sub := range subs {
		x.commandEntry(sub)
	}
}

func commandCount(x *exchange) { x.integer(int64(len(topRows()))) }

// commandDocs gives redis-cli what it shows as hints. Unknown names are left out, as in Redis.
func commandDocs(x *exchange) {
	rows := topRows()
	if names := x.call.args[2:]; len(names) > 0 {
		rows = rows[:0:0]
		for _, name := range names {
			if row := protocol.Find(name); row != nil {
				rows = append(rows, row)
			}
		}
	}
	x.docs(rows)
}

func (x *exchange) docs(rows []*protocol.Row) {
	x.array(2 * len(rows))
	for _, row := range rows {
		x.text(row.FullName())
		subs := row.Subcommands()
		fields := 4
		if len(subs) > 0 {
			fields += 2
		}
		x.array(fields)
		x.text("summary")
		x.text(row.Summary)
		x.text("group")
		x.text(row.Group)
		if len(subs) > 0 {
			x.text("subcommands")
			x.docs(subs)
		}
	}
}

// section is a part of INFO.
type section struct {
	name  string
	lines func(x *exchange) []string
}

var sections = []section{
	{"Server", infoServer},
	{"Clients", infoClients},
	{"Stats", infoStats},
	{"Replication", func(*exchange) []string { return []string{"role:master", "connected_slaves:0"} }},
}

// info writes the sections asked for, or all.
func info(x *exchange) {
	wanted := make(map[string]bool)
	for _, arg := range x.call.args[1:] {
		wanted[strings.ToLower(string(arg))] = true
	}
	all := len(wanted) == 0 || wanted["all"] || wanted["default"] || wanted["everything"]
	var parts []string
	for _, s := range sections {
		if all || wanted[strings.ToLower(s.name)] {
			parts = append(parts, "# "+s.name+"\r\n"+strings.Join(s.lines(x), "\r\n")+"\r\n")
		}
	}
	x.text(strings.Join(parts, "\r\n"))
}

func infoServer(x *exchange) []string {
	s := x.conn.srv
	up := int64(time.Since(s.started) / time.Second)
	return []string{
		"redis_version:" + redisVersion,
		"conch_version:" + s.options.Version,
		"redis_mode:standalone",
		"os:" + runtime.GOOS + " " + runtime.GOARCH,
		"go_version:" + runtime.Version(),
		fmt.Sprintf("uptime_in_seconds:%d", up),
		fmt.Sprintf("uptime_in_days:%d", up/86400),
		"loading:0",
	}
}

func infoClients(x *exchange) []string {
	s, n := x.conn.srv, x.view.Counts()
	return []string{
		fmt.Sprintf("connected_clients:%d", s.counts.open.Load()),
		fmt.Sprintf("maxclients:%d", s.options.MaxConnections),
		fmt.Sprintf("pubsub_clients:%d", n.Subscribers),
		"blocked_clients:0",
	}
}

func infoStats(x *exchange) []string {
	s, n := x.conn.srv, x.view.Counts()
	c := &s.counts
	slow := c.endings[ReasonSlowHard].Load() + c.endings[ReasonSlowSoft].Load()
	lines := []string{
		fmt.Sprintf("total_connections_received:%d", c.accepted.Load()),
		fmt.Sprintf("total_commands_processed:%d", c.commands.Load()),
		fmt.Sprintf("total_net_input_bytes:%d", c.bytesIn.Load()),
		fmt.Sprintf("total_net_output_bytes:%d", c.bytesOut.Load()),
		fmt.Sprintf("rejected_connections:%d", c.endings[ReasonFull].Load()),
		fmt.Sprintf("client_output_buffer_limit_disconnections:%d", slow),
		fmt.Sprintf("pubsub_channels:%d", n.Topics),
		fmt.Sprintf("pubsub_patterns:%d", n.Patterns),
		fmt.Sprintf("messages_published:%d", n.Published),
		fmt.Sprintf("messages_delivered:%d", n.Delivered),
		fmt.Sprintf("core_inbox_batches:%d", n.Waiting),
		fmt.Sprintf("accept_pauses:%d", c.pausedFor.Load()),
		fmt.Sprintf("log_lines_dropped:%d", s.options.LogDropped()),
	}
	for r := ReasonEOF; r < reasons; r++ {
		lines = append(lines, fmt.Sprintf("ended_%s:%d", r, c.endings[r].Load()))
	}
	return lines
}

// configGet knows the log level, and what redis-benchmark and StackExchange.Redis ask for on connect.
func configGet(x *exchange) {
	known := []struct{ name, value string }{
		{"loglevel", zerolog.GlobalLevel().String()},
		{"save", ""},
		{"appendonly", "no"},
		{"databases", "16"},
		{"timeout", "0"},
	}
	var found []string
	for _, option := range known {
		for _, glob := range x.call.args[2:] {
			if broker.Match(strings.ToLower(string(glob)), []byte(option.name)) {
				found = append(found, option.name, option.value)
				break
			}
		}
	}
	x.array(len(found))
	for _, s := range found {
		x.text(s)
	}
}

// configSet sets the log level, the one option that can change at run time. Redis' words for levels are known too.
func configSet(x *exchange) {
	args := x.call.args[2:]
	if len(args)%2 != 0 {
		x.wrongSubcommandArity()
		return
	}
	var level zerolog.Level
	for i := 0; i < len(args); i += 2 {
		if !strings.EqualFold(string(args[i]), "loglevel") {
			x.fail(protocol.Errorf("Unknown option or number of arguments for CONFIG SET - '%s'", args[i]))
			return
		}
		var err error
		if level, err = ParseLevel(string(args[i+1])); err != nil {
			x.fail(protocol.Errorf("CONFIG SET failed (possibly related to argument 'loglevel') - %s", err))
			return
		}
	}
	zerolog.SetGlobalLevel(level)
	x.ok()
}

// ParseLevel reads a log level: trace, debug, info, warn or error, or Redis' words for some of them.
func ParseLevel(s string) (zerolog.Level, error) {
	switch strings.ToLower(s) {
	case "trace":
		return zerolog.TraceLevel, nil
	case "debug", "verbose":
		return zerolog.DebugLevel, nil
	case "info", "notice":
		return zerolog.InfoLevel, nil
	case "warn", "warning":
		return zerolog.WarnLevel, nil
	case "error":
		return zerolog.ErrorLevel, nil
	}
	return zerolog.NoLevel, fmt.Errorf("log level must be trace, debug, info, warn or error, not %q", s)
}
