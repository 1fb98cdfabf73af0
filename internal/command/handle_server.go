package command

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/protocol"
)

// wrongSubcommandArity is Redis' answer where the table allows any number of arguments and the subcommand does not.
func (w *response) wrongSubcommandArity() {
	parent, _, _ := strings.Cut(w.inv.row.Name, " ")
	w.fail(protocol.ErrSubcommandSyntax(parent, w.inv.args[1]))
}

// section is a part of INFO.
type section struct {
	name  string
	lines func(w *response) []string
	asked bool // only if it is asked for, or all are
}

var sections = []section{
	{"Server", infoServer, false},
	{"Clients", infoClients, false},
	{"Memory", infoMemory, false},
	{"Stats", infoStats, false},
	{"Replication", func(*response) []string { return []string{"role:master", "connected_slaves:0"} }, false},
	{"CPU", infoCPU, false},
	{"Commandstats", infoCommandstats, true},
	{"Errorstats", infoErrorstats, false},
}

// info writes the sections that were named. None is as default; all and everything are the same here.
func info(w *response) {
	wanted := make(map[string]bool)
	for _, arg := range w.inv.args[1:] {
		wanted[strings.ToLower(string(arg))] = true
	}
	all := wanted["all"] || wanted["everything"]
	usual := all || len(wanted) == 0 || wanted["default"]
	var parts []string
	for _, s := range sections {
		if all || usual && !s.asked || wanted[strings.ToLower(s.name)] {
			lines := append([]string{"# " + s.name}, s.lines(w)...)
			parts = append(parts, strings.Join(lines, "\r\n")+"\r\n")
		}
	}
	w.verbatim(strings.Join(parts, "\r\n"))
}

func infoServer(w *response) []string {
	s := w.executor.service
	up := int64(time.Since(s.started) / time.Second)
	return []string{
		"redis_version:" + redisVersion,
		"conch_version:" + s.options.Version,
		"redis_mode:standalone",
		"os:" + runtime.GOOS + " " + runtime.GOARCH,
		"go_version:" + runtime.Version(),
		fmt.Sprintf("process_id:%d", os.Getpid()),
		"run_id:" + s.runID,
		fmt.Sprintf("tcp_port:%d", s.port.Load()),
		fmt.Sprintf("uptime_in_seconds:%d", up),
		fmt.Sprintf("uptime_in_days:%d", up/86400),
		"loading:0",
	}
}

func infoClients(w *response) []string {
	s, n := w.executor.service, w.view.Stats()
	return []string{
		fmt.Sprintf("connected_clients:%d", s.Counts.clients.Load()),
		fmt.Sprintf("maxclients:%d", s.options.MaxConnections),
		fmt.Sprintf("pubsub_clients:%d", n.Subscribers),
		"blocked_clients:0",
	}
}

func infoStats(w *response) []string {
	s, n := w.executor.service, w.view.Stats()
	c := &s.Counts
	since := c.base().minus(s.stats.base)
	lines := []string{
		fmt.Sprintf("total_connections_received:%d", since.accepted),
		fmt.Sprintf("total_commands_processed:%d", since.commands),
		fmt.Sprintf("total_net_input_bytes:%d", since.bytesIn),
		fmt.Sprintf("total_net_output_bytes:%d", since.bytesOut),
		fmt.Sprintf("total_error_replies:%d", s.stats.replies()),
		fmt.Sprintf("bytes_lost:%d", c.bytesLost.Load()),
		fmt.Sprintf("client_memory:%d", s.memory.Used()-w.inv.buf.Size()-w.executor.usage.batches.Load()), // but for this very command
		fmt.Sprintf("goroutines:%d", runtime.NumGoroutine()),
		fmt.Sprintf("rejected_connections:%d", since.full),
		fmt.Sprintf("client_output_buffer_limit_disconnections:%d", since.slow),
		fmt.Sprintf("pubsub_channels:%d", n.Topics),
		fmt.Sprintf("pubsub_patterns:%d", n.Patterns),
		fmt.Sprintf("pubsubshard_channels:%d", n.Shards),
		"epoch:" + s.epoch,
		fmt.Sprintf("sequence:%d", n.Published),
		fmt.Sprintf("messages_published:%d", n.Published),
		fmt.Sprintf("messages_matched:%d", n.Matched),
		fmt.Sprintf("messages_filtered:%d", n.Filtered),
		fmt.Sprintf("messages_unreadable:%d", n.Unreadable),
		fmt.Sprintf("pubsub_predicates:%d", n.Predicates),
		fmt.Sprintf("messages_delivered:%d", c.messages.Delivered.Load()),
		fmt.Sprintf("messages_dropped:%d", c.messages.Dropped.Load()),
		fmt.Sprintf("messages_undelivered:%d", c.messages.Undelivered.Load()),
		fmt.Sprintf("core_inbox_batches:%d", n.InboxLen),
		fmt.Sprintf("acl_access_denied_auth:%d", s.access.denied.auth),
		fmt.Sprintf("acl_access_denied_cmd:%d", s.access.denied.command),
		fmt.Sprintf("acl_access_denied_channel:%d", s.access.denied.channel),
		fmt.Sprintf("accept_pauses:%d", c.AcceptPauses.Load()),
		fmt.Sprintf("log_lines_dropped:%d", s.options.LogDropped()),
	}
	for r := CloseReasonEOF; r < closeReasons; r++ {
		lines = append(lines, fmt.Sprintf("ended_%s:%d", r, c.Closes[r].Load()))
	}
	return lines
}

// parameters are what CONFIG GET knows: the options in force under their own names, then what Redis' tools and
// libraries ask for, under Redis' names and with the values that are true here.
func (s *Service) parameters() []Setting {
	o := &s.options
	number := strconv.Itoa
	seconds := number(int(o.SlowTime / time.Second))
	all := []Setting{
		{"log-level", zerolog.GlobalLevel().String()},
		{"loglevel", zerolog.GlobalLevel().String()},
		{"max-connections", number(o.MaxConnections)},
		{"max-subscriptions", number(o.MaxSubscriptions)},
		{"max-predicates", number(o.MaxPredicates)},
		{"max-predicate", number(o.MaxPredicate)},
		{"max-predicate-payload", number(o.MaxPredicatePayload)},
		{"max-memory", strconv.FormatInt(o.MaxMemory, 10)},
		{"keep-alive", o.KeepAlive.String()},
		{"max-message", number(o.Limits.Message)},
		{"max-line", number(o.Limits.Line)},
		{"max-topic", number(o.Limits.Topic)},
		{"max-arguments", number(o.Limits.Arguments)},
		{"max-command", number(o.Limits.Command)},
		{"slow-consumer", o.SlowConsumer.String()},
		{"slow-hard", number(o.SlowHard)},
		{"slow-soft", number(o.SlowSoft)},
		{"slow-time", seconds},
		{"drain-timeout", o.DrainTimeout.String()},
		{"handshake-timeout", o.HandshakeTimeout.String()},
		{"protected-mode", map[bool]string{true: "no", false: "yes"}[o.Unprotected]},
		{"auth-timeout", o.AuthTimeout.String()},
		{"aclfile", o.ACLFile},
		{"requirepass", s.access.requirepass()},
		{"maxclients", number(o.MaxConnections)},
		{"proto-max-bulk-len", number(o.Limits.Message)},
		{"client-output-buffer-limit", fmt.Sprintf("pubsub %d %d %s", o.SlowHard, o.SlowSoft, seconds)},
		{"save", ""},
		{"appendonly", "no"},
		{"databases", "16"},
		{"timeout", "0"},
		{"replica-read-only", "no"},
		{"slave-read-only", "no"},
	}
	for _, setting := range o.Settings {
		if !slices.ContainsFunc(all, func(p Setting) bool { return p.Name == setting.Name }) {
			all = append(all, setting)
		}
	}
	return all
}

// configGet looks parameters up by globs, which all together may cost as much as one of PUBSUB CHANNELS.
func configGet(w *response) {
	globs := make([]string, len(w.inv.args)-2)
	for i, arg := range w.inv.args[2:] {
		globs[i] = strings.ToLower(string(arg))
	}
	work := newGlobWork()
	var found []string
	for _, option := range w.executor.service.parameters() {
		name := []byte(option.Name)
		if slices.ContainsFunc(globs, func(glob string) bool { return work.match(glob, name) }) {
			found = append(found, option.Name, option.Value)
		}
	}
	if work.exhausted() {
		w.fail(protocol.Errorf("these globs cost too much together: send fewer at a time, or shorter ones"))
		return
	}
	w.mapHeader(len(found) / 2)
	for _, s := range found {
		w.text(s)
	}
}

// configSet sets the options that can change at run time: the log level, for which Redis' words are known too, and the
// default user's password, which comes as a digest: see hashSecrets. All are checked before any is set.
func configSet(w *response) {
	args := w.inv.args[2:]
	if len(args)%2 != 0 {
		w.fail(protocol.ErrArity(w.inv.row.FullName()))
		return
	}
	var changes []func()
	for i := 0; i < len(args); i += 2 {
		value := args[i+1]
		switch asciiLower(args[i]) {
		case "loglevel", "log-level":
			level, err := ParseLevel(string(value))
			if err != nil {
				w.fail(protocol.Errorf("CONFIG SET failed (possibly related to argument '%s') - %s", asciiLower(args[i]), err))
				return
			}
			changes = append(changes, func() { zerolog.SetGlobalLevel(level) })
		case "requirepass":
			changes = append(changes, func() { w.requirePassword(value) })
		default:
			w.fail(w.cannotSet(string(args[i])))
			return
		}
	}
	for _, change := range changes {
		change()
	}
	w.ok()
}

// requirePassword gives the default user a password, and no other; none if there is no digest.
func (w *response) requirePassword(d []byte) {
	var password *acl.Digest
	if len(d) > 0 {
		password = new(digest(d))
	}
	w.users().RequirePassword(password)
	w.executor.service.recheckUsers(w.view, acl.DefaultUser)
}

func (w *response) cannotSet(name string) *protocol.Error {
	for _, p := range w.executor.service.parameters() {
		if strings.EqualFold(p.Name, name) {
			return protocol.Errorf("CONFIG SET failed (possibly related to argument '%s') - can't set immutable config", name)
		}
	}
	return protocol.Errorf("Unknown option or number of arguments for CONFIG SET - '%s'", name)
}

// shutdown stops the server as SIGTERM does. What Redis' options say about saving has no object here.
func shutdown(w *response) {
	for _, arg := range w.inv.args[1:] {
		switch strings.ToUpper(string(arg)) {
		case "NOSAVE", "SAVE", "NOW", "FORCE":
		case "ABORT":
			w.fail(protocol.Errorf("No shutdown in progress."))
			return
		default:
			w.fail(protocol.Errorf("syntax error"))
			return
		}
	}
	if w.executor.service.options.Stop == nil {
		w.fail(protocol.Errorf("Errors trying to SHUTDOWN. Check logs."))
		return
	}
	w.executor.service.options.Stop() // no reply: the connection closes with the others, as in Redis
}

func now(w *response) {
	t := time.Now()
	w.array(2)
	w.text(strconv.FormatInt(t.Unix(), 10))
	w.text(strconv.Itoa(t.Nanosecond() / 1000))
}

func role(w *response) {
	w.array(3)
	w.text("master")
	w.integer(0)
	w.array(0)
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
