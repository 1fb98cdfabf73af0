package command

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/conchmq/conch/internal/recent"
)

// section is a part of INFO.
type section struct {
	name  string
	lines func(w *response) []string
	// onRequest means that only its name, all or everything shows the section.
	onRequest bool
}

var sections = []section{
	{"Server", infoServer, false},
	{"Clients", infoClients, false},
	{"Memory", infoMemory, false},
	{"Persistence", infoPersistence, false},
	{"Stats", infoStats, false},
	{"Replication", infoReplication, false},
	{"CPU", infoCPU, false},
	{"Commandstats", infoCommandstats, true},
	{"Errorstats", infoErrorstats, false},
	{"Keyspace", infoKeyspace, false},
	{"Cluster", infoCluster, false},
	{"Connectors", infoConnectors, false},
}

// info is INFO [section ...]. No section means default; all and everything are the same here.
func info(w *response) {
	wanted := make(map[string]bool)
	for _, arg := range w.inv.args[1:] {
		wanted[strings.ToLower(string(arg))] = true
	}
	all := wanted["all"] || wanted["everything"]
	usual := all || len(wanted) == 0 || wanted["default"]
	var parts []string
	for _, s := range sections {
		if all || usual && !s.onRequest || wanted[strings.ToLower(s.name)] {
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
	}
}

func infoClients(w *response) []string {
	s, n := w.executor.service, w.view.Stats()
	return []string{
		fmt.Sprintf("connected_clients:%d", s.Counts.clients.Load()),
		fmt.Sprintf("maxclients:%d", s.options.MaxConnections),
		fmt.Sprintf("pubsub_clients:%d", n.Subscribers),
		fmt.Sprintf("blocked_clients:%d", s.streams.blocked.count),
	}
}

// infoStats is the section Stats. docs/operations.md explains each field.
//
// client_memory leaves out this command itself: an idle server shows what its connections hold.
func infoStats(w *response) []string {
	s, n := w.executor.service, w.view.Stats()
	c := &s.Counts
	since := c.base().since(s.stats.base)
	var kept recent.Stats
	if s.recent != nil {
		kept = s.recent.Stats()
	}
	lines := []string{
		fmt.Sprintf("total_connections_received:%d", since.accepted),
		fmt.Sprintf("total_commands_processed:%d", since.commands),
		fmt.Sprintf("total_net_input_bytes:%d", since.bytesIn),
		fmt.Sprintf("total_net_output_bytes:%d", since.bytesOut),
		fmt.Sprintf("total_error_replies:%d", s.stats.errorReplies()),
		fmt.Sprintf("bytes_lost:%d", c.bytesLost.Load()),
		fmt.Sprintf("client_memory:%d", s.memory.Used()-int64(kept.Bytes)-w.inv.buf.Size()-w.executor.usage.batches.Load()),
		fmt.Sprintf("goroutines:%d", runtime.NumGoroutine()),
		fmt.Sprintf("rejected_connections:%d", since.full),
		fmt.Sprintf("client_output_buffer_limit_disconnections:%d", since.slow),
		fmt.Sprintf("pubsub_channels:%d", n.Topics),
		fmt.Sprintf("pubsub_patterns:%d", n.Patterns),
		fmt.Sprintf("pubsubshard_channels:%d", n.Shards),
		"epoch:" + s.Epoch(),
		fmt.Sprintf("sequence:%d", n.Sequence),
		fmt.Sprintf("messages_published:%d", n.Published),
		fmt.Sprintf("messages_matched:%d", n.Matched),
		fmt.Sprintf("messages_filtered:%d", n.Filtered),
		fmt.Sprintf("messages_unreadable:%d", n.Unreadable),
		fmt.Sprintf("pubsub_predicates:%d", n.Predicates),
		fmt.Sprintf("messages_delivered:%d", c.messages.Delivered.Load()),
		fmt.Sprintf("messages_dropped:%d", c.messages.Dropped.Load()),
		fmt.Sprintf("messages_undelivered:%d", c.messages.Undelivered.Load()),
		fmt.Sprintf("messages_replayed:%d", c.messages.Replayed.Load()),
		fmt.Sprintf("recent_bytes:%d", kept.Bytes),
		fmt.Sprintf("recent_limit:%d", s.options.Recent),
		fmt.Sprintf("recent_oldest:%d", kept.Oldest),
		fmt.Sprintf("core_inbox_batches:%d", n.InboxLen),
		fmt.Sprintf("acl_access_denied_auth:%d", s.access.denied.auth),
		fmt.Sprintf("acl_access_denied_cmd:%d", s.access.denied.command),
		fmt.Sprintf("acl_access_denied_key:%d", s.access.denied.key),
		fmt.Sprintf("acl_access_denied_channel:%d", s.access.denied.channel),
		fmt.Sprintf("accept_pauses:%d", c.AcceptPauses.Load()),
		fmt.Sprintf("log_lines_dropped:%d", s.options.LogDropped()),
	}
	// Each reason has a field, at 0 too, so that a dashboard finds every name.
	for r := CloseReasonEOF; r < closeReasons; r++ {
		lines = append(lines, fmt.Sprintf("ended_%s:%d", r, c.Closes[r].Load()))
	}
	return lines
}
