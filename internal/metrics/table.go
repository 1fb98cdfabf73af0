package metrics

import (
	"iter"
	"runtime"

	"github.com/conchmq/conch/internal/command"
)

type snapshot = command.Snapshot

// table is every metric of conch, in the order of docs/metrics.md, which has the same texts.
var table = []metric{
	{
		"conch_build_info", gauge, []string{"version", "go_version"}, "Always 1; the labels are the versions of conch and of Go.",
		func(n *snapshot, emit emitter) { emit(1, n.Version, runtime.Version()) },
	},

	one("conch_connections", gauge, "Connections now.", func(n *snapshot) int64 { return n.Clients }),
	one("conch_connections_limit", gauge, "The setting max-connections.", func(n *snapshot) int { return n.ConnectionLimit }),
	one("conch_connections_accepted_total", counter, "Connections that were accepted, those that were refused too.", func(n *snapshot) int64 { return n.Accepted }),
	{
		"conch_connections_ended_total", counter, []string{"reason"}, "Connections that ended, by reason; docs/operations.md explains each.",
		each((*snapshot).Endings),
	},
	one("conch_accept_pauses_total", counter, "Pauses of accepting because descriptors had run out.", func(n *snapshot) int64 { return n.AcceptPauses }),

	{
		"conch_streams", gauge, []string{"kind"}, "Of the connections, those over HTTP that stay: event streams (events), WebSockets (websocket).",
		func(n *snapshot, emit emitter) {
			emit(float64(n.EventStreams), "events")
			emit(float64(n.WebSockets), "websocket")
		},
	},

	one("conch_subscribers", gauge, "Connections that hold a subscription, now.", func(n *snapshot) int { return n.Subscribers }),
	one("conch_topics", gauge, "Topics that are subscribed to, now.", func(n *snapshot) int { return n.Topics }),
	one("conch_patterns", gauge, "Patterns that are subscribed to, now.", func(n *snapshot) int { return n.Patterns }),
	one("conch_shards", gauge, "Shard topics that are subscribed to, now.", func(n *snapshot) int { return n.Shards }),
	one("conch_predicates", gauge, "Names with a predicate that are subscribed to, now.", func(n *snapshot) int { return n.Predicates }),

	one("conch_sequence", gauge, "The sequence number given last.", func(n *snapshot) uint64 { return n.Sequence }),
	one("conch_messages_published_total", counter, "Messages that were published.", func(n *snapshot) uint64 { return n.Published }),
	one("conch_messages_matched_total", counter, "Messages, each once for each subscription that it was queued to.", func(n *snapshot) uint64 { return n.Matched }),
	one("conch_messages_filtered_total", counter, "Messages, each once for each subscription whose predicate rejected it.", func(n *snapshot) uint64 { return n.Filtered }),
	one("conch_messages_unreadable_total", counter, "Of the filtered messages, those that lacked a field of the predicate.", func(n *snapshot) uint64 { return n.Unreadable }),
	one("conch_messages_delivered_total", counter, "Of the matched messages, those that the kernel accepted for the client.", func(n *snapshot) int64 { return n.Delivered }),
	one("conch_messages_dropped_total", counter, "Of the matched messages, those that a slow subscriber's policy dropped.", func(n *snapshot) int64 { return n.Dropped }),
	one("conch_messages_undelivered_total", counter, "Of the matched messages, those that waited when the connection ended.", func(n *snapshot) int64 { return n.Undelivered }),
	one("conch_messages_queued", gauge, "Of the matched messages, those that wait, now.", (*snapshot).Queued),
	one("conch_messages_replayed_total", counter, "Messages of the past that subscriptions started with, queued for their clients; not among the matched.", func(n *snapshot) int64 { return n.Replayed }),

	one("conch_recent_bytes", gauge, "Memory of the latest messages, which are kept for subscriptions that start in the past, now.", func(n *snapshot) int { return n.Recent.Bytes }),
	one("conch_recent_limit_bytes", gauge, "The setting recent; 0 keeps no message.", func(n *snapshot) int { return n.RecentLimit }),
	one("conch_recent_oldest_sequence", gauge, "Sequence number of the oldest message that is kept, 0 without one; the newest has at most conch_sequence.", func(n *snapshot) uint64 { return n.Recent.Oldest }),

	one("conch_log_failed", gauge, "1 if a write or a sync of the log has failed: nothing is appended until a restart; else 0.", func(n *snapshot) int { return flag(n.Log.Failed) }),
	one("conch_log_full", gauge, "1 while the disk has no space for the log; else 0.", func(n *snapshot) int { return flag(n.Log.IsFull()) }),
	one("conch_log_damages", gauge, "Damaged places in the log that the start found.", func(n *snapshot) int { return n.Log.Damages }),
	one("conch_log_segments", gauge, "Files of the log, now.", func(n *snapshot) int { return n.Log.Segments }),
	one("conch_log_bytes", gauge, "Bytes of these files, now.", func(n *snapshot) int64 { return n.Log.Bytes }),
	one("conch_log_visible_bytes", gauge, "About how many of these bytes belong to entries that exist, as last seen.", func(n *snapshot) int64 { return n.Log.VisibleBytes }),
	one("conch_log_appended_bytes_total", counter, "Bytes that were appended to the log.", func(n *snapshot) int64 { return n.Log.AppendedBytes }),
	one("conch_log_rewritten_bytes_total", counter, "Bytes that were written again to give space back.", func(n *snapshot) int64 { return n.Log.RewrittenBytes }),
	one("conch_log_compact_failed", gauge, "1 if space could not be given back the last time; else 0.", func(n *snapshot) int { return flag(n.Log.CompactErr) }),
	one("conch_log_unsynced_bytes", gauge, "Bytes that wait to be as safe as the setting fsync demands, now.", func(n *snapshot) int64 { return n.Log.UnsyncedBytes }),
	one("conch_log_writes_total", counter, "Writes to the log.", func(n *snapshot) uint64 { return n.Log.Writes }),
	one("conch_log_syncs_total", counter, "Syncs of the log.", func(n *snapshot) uint64 { return n.Log.Syncs }),
	one("conch_log_checkpoint_failed", gauge, "1 if the last checkpoint could not be written; else 0.", func(n *snapshot) int { return flag(n.Log.CheckpointErr) }),
	one("conch_streams_keys", gauge, "Streams that are stored, now.", func(n *snapshot) int { return n.Keys }),
	one("conch_streams_memory_bytes", gauge, "Memory of streams, as stream-memory counts it, now.", func(n *snapshot) int64 { return n.StreamMemory }),
	one("conch_streams_missed_total", counter, "Entries that retention or a trim took before a group had read them, once for each group.", func(n *snapshot) uint64 { return n.Missed }),
	one("conch_cursors", gauge, "Positions that FROM GROUP keeps, now.", func(n *snapshot) int { return n.Cursors }),
	one("conch_cursor_behind", gauge, "By how many sequence numbers the hindmost of these positions, as last noted, is behind the newest entry; numbers of all topics count.", func(n *snapshot) uint64 { return n.CursorBehind }),
	one("conch_streams_memory_limit_bytes", gauge, "The setting stream-memory; 0 is no limit.", func(n *snapshot) int64 { return n.Log.MemoryLimit }),

	one("conch_received_bytes_total", counter, "Bytes read from clients.", func(n *snapshot) int64 { return n.BytesIn }),
	one("conch_sent_bytes_total", counter, "Bytes written to clients.", func(n *snapshot) int64 { return n.BytesOut }),
	one("conch_lost_bytes_total", counter, "Bytes that waited for connections when they ended.", func(n *snapshot) int64 { return n.BytesLost }),
	one("conch_client_memory_bytes", gauge, "Memory that all connections hold together, as max-memory counts it, now.", func(n *snapshot) int64 { return n.MemoryUsed }),
	one("conch_client_memory_limit_bytes", gauge, "The setting max-memory; 0 is no limit.", func(n *snapshot) int64 { return n.MemoryLimit }),

	one("conch_inbox_batches", gauge, "Reads of connections that wait for the core, now; 128 is the most.", func(n *snapshot) int { return n.InboxLen }),
	byCommand("conch_commands_total", "Commands that ran.", func(c command.CallCounts) float64 { return float64(c.Calls) }),
	byCommand("conch_commands_rejected_total", "Commands that were refused before they ran.", func(c command.CallCounts) float64 { return float64(c.Rejected) }),
	byCommand("conch_commands_failed_total", "Commands that ran and were answered with an error.", func(c command.CallCounts) float64 { return float64(c.Failed) }),
	byCommand("conch_command_core_seconds_total", "Time that commands took on the core, deliveries included.", func(c command.CallCounts) float64 { return c.CoreTime.Seconds() }),
	{
		"conch_error_replies_total", counter, []string{"code"}, "Commands that were answered with an error, by the error's first word.",
		each((*snapshot).Errors),
	},
	{
		"conch_access_denied_total", counter, []string{"object"}, "Refusals: a password (auth), a command, a key, a topic.",
		func(n *snapshot, emit emitter) {
			emit(float64(n.DeniedAuth), "auth")
			emit(float64(n.DeniedCommand), "command")
			emit(float64(n.DeniedKey), "key")
			emit(float64(n.DeniedTopic), "topic")
		},
	},
	{
		"conch_connectors_running", gauge, []string{"direction", "connector"}, "1 for a source or a sink that is connected, else 0.",
		func(n *snapshot, emit emitter) {
			for i := range n.Connectors {
				c := &n.Connectors[i]
				emit(float64(flag(c.State == "running")), string(c.Direction), c.Name)
			}
		},
	},
	{
		"conch_connectors_messages_total", counter, []string{"direction", "connector", "count"}, "Messages of sources and sinks, by what became of them.",
		ofConnectors(false),
	},
	{
		"conch_connectors_waiting", gauge, []string{"direction", "connector", "count"}, "Messages on their way through sources and sinks (pending), and entries that a sink has not reached (lag).",
		ofConnectors(true),
	},
	{
		"conch_connectors_restarts_total", counter, []string{"direction", "connector"}, "Connections of sources and sinks after their first one.",
		func(n *snapshot, emit emitter) {
			for i := range n.Connectors {
				emit(float64(n.Connectors[i].Restarts), string(n.Connectors[i].Direction), n.Connectors[i].Name)
			}
		},
	},
	one("conch_cluster_leads", gauge, "1 if this node leads the cluster; else 0.", func(n *snapshot) int { return flag(n.Cluster.Role == "leader") }),
	one("conch_cluster_majority", gauge, "1 if a leader is known and a majority of the voters answers; 0 without a cluster, too.", func(n *snapshot) int { return flag(n.Cluster.Majority) }),
	one("conch_cluster_term", gauge, "Term of the cluster: it grows with each election.", func(n *snapshot) uint64 { return n.Cluster.Term }),
	one("conch_cluster_committed", gauge, "Index up to which a majority has the cluster's log.", func(n *snapshot) uint64 { return n.Cluster.Committed }),
	one("conch_cluster_applied", gauge, "Index up to which the cluster's log has taken effect on this node.", func(n *snapshot) uint64 { return n.Cluster.Applied }),
	one("conch_cluster_waiting", gauge, "Proposals of this node that wait for a majority, now.", func(n *snapshot) int { return n.Cluster.Waiting }),
	one("conch_cluster_waiting_bytes", gauge, "Bytes of these proposals, now.", func(n *snapshot) int { return n.Cluster.WaitingBytes }),
	byMember("conch_cluster_member_voter", "1 for a member with a vote, else 0.", func(m *command.ClusterMember) float64 { return float64(flag(m.Voter)) }),
	byMember("conch_cluster_member_ok", "1 for a member that answers, serves clients and keeps up, else 0.", func(m *command.ClusterMember) float64 { return float64(flag(m.State == "ok")) }),
	byMember("conch_cluster_lag_entries", "Entries that the leader has applied and the member has not, as this node sees it.", func(m *command.ClusterMember) float64 { return float64(m.LagEntries) }),
	byMember("conch_cluster_lag_bytes", "Bytes of these entries.", func(m *command.ClusterMember) float64 { return float64(m.LagBytes) }),
	byMember("conch_cluster_link_seconds", "Time of the last exchange with the member, there and back.", func(m *command.ClusterMember) float64 { return m.Link.Seconds() }),
	byMember("conch_cluster_clock_ahead_seconds", "By how much the clock of the member is ahead of that of this node.", func(m *command.ClusterMember) float64 { return m.ClockAhead.Seconds() }),
	byMember("conch_cluster_snapshot", "Index of the member's last snapshot, 0 without one.", func(m *command.ClusterMember) float64 { return float64(m.Snapshot) }),
	byMember("conch_cluster_snapshot_timestamp_seconds", "Unix time of the member's last snapshot, 0 without one.", snapshotTime),
	one("conch_log_lines_dropped_total", counter, "Log lines that could not be written fast enough.", func(n *snapshot) uint64 { return n.LogDropped }),
}

// one is a metric without labels.
func one[N int | int64 | uint64](name string, k kind, help string, value func(*snapshot) N) metric {
	return metric{name, k, nil, help, func(n *snapshot, emit emitter) { emit(float64(value(n))) }}
}

// ofConnectors reads the counts of connectors: those of messages that wait, or those that only grow.
func ofConnectors(waiting bool) func(*snapshot, emitter) {
	return func(n *snapshot, emit emitter) {
		for i := range n.Connectors {
			c := &n.Connectors[i]
			for _, count := range c.Counts() {
				waits := count.Name == "pending" || count.Name == "lag"
				if count.Name != "restarts" && waits == waiting {
					emit(float64(count.Value), string(c.Direction), c.Name, count.Name)
				}
			}
		}
	}
}

// byMember is a gauge of each member of the cluster.
func byMember(name, help string, value func(*command.ClusterMember) float64) metric {
	return metric{name, gauge, []string{"node"}, help, func(n *snapshot, emit emitter) {
		for i := range n.Cluster.Members {
			emit(value(&n.Cluster.Members[i]), n.Cluster.Members[i].Name)
		}
	}}
}

func snapshotTime(m *command.ClusterMember) float64 {
	if m.SnapshotTime.IsZero() {
		return 0
	}
	return float64(m.SnapshotTime.UnixMilli()) / 1000
}

// flag is 1 for true.
func flag(is bool) int {
	if is {
		return 1
	}
	return 0
}

// each reads a counter that has one label.
func each(values func(*snapshot) iter.Seq2[string, int64]) func(*snapshot, emitter) {
	return func(n *snapshot, emit emitter) {
		for label, value := range values(n) {
			emit(float64(value), label)
		}
	}
}

// byCommand is a counter of each command that was sent.
func byCommand(name, help string, value func(command.CallCounts) float64) metric {
	return metric{name, counter, []string{"command"}, help, func(n *snapshot, emit emitter) {
		for command, counts := range n.Commands() {
			emit(value(counts), command)
		}
	}}
}
