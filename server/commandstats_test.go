package server_test

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// infoOf is the fields of sections of INFO.
func infoOf(t *testing.T, c *harness.Conn, sections ...string) map[string]string {
	t.Helper()
	fields := map[string]string{}
	for _, line := range strings.Split(frame(t, c, append([]string{"INFO"}, sections...)...), "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

var usec = regexp.MustCompile(`usec=\d+,usec_per_call=\d+\.\d\d,`)

// commandStats are the fields of Commandstats without times.
func commandStats(t *testing.T, c *harness.Conn) map[string]string {
	t.Helper()
	stats := map[string]string{}
	for name, value := range infoOf(t, c, "commandstats") {
		require.Regexp(t, usec, value)
		stats[strings.TrimPrefix(name, "cmdstat_")] = usec.ReplaceAllString(value, "")
	}
	return stats
}

// Each command counts under its name: as a call if it ran, as failed if its answer is an error, as rejected if it was
// refused. Each error counts by its first word. The figures are those of Redis 7.0, but that INFO counts itself.
func TestCommandsAndErrorsAreCounted(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := s.Dial(t)
	c.Send("%s", pipelined("orders", 1, 100)) // a run
	for range 100 {
		c.Line()
	}
	for _, command := range []string{
		"PING", "ping", "PING a b", "ECHO", "NOSUCH", "CLIENT NOSUCH", "CLIENT LIST", "CLIENT LIST ID x", "SELECT x", "AUTH nosuch x", "EXEC",
		"MULTI", "PING", "ECHO", "EXEC", "MULTI", "PING", "SELECT x", "EXEC", "SUB LAST", "SUBSCRIBE",
	} {
		_ = frame(t, c, strings.Fields(command)...)
	}
	c.Send("SUB\nSLOW x\nPUB a b\n")
	for range 3 {
		c.Line()
	}
	assert.Equal(t, map[string]string{
		"publish":     "calls=100,rejected_calls=0,failed_calls=0",
		"ping":        "calls=4,rejected_calls=0,failed_calls=1",
		"echo":        "calls=0,rejected_calls=2,failed_calls=0",
		"client|list": "calls=2,rejected_calls=0,failed_calls=1",
		"select":      "calls=2,rejected_calls=0,failed_calls=2",
		"auth":        "calls=1,rejected_calls=0,failed_calls=1",
		"multi":       "calls=2,rejected_calls=0,failed_calls=0",
		"exec":        "calls=3,rejected_calls=0,failed_calls=2",
		"sub":         "calls=0,rejected_calls=2,failed_calls=0",
		"subscribe":   "calls=0,rejected_calls=1,failed_calls=0",
		"slow":        "calls=1,rejected_calls=0,failed_calls=1",
		"pub":         "calls=1,rejected_calls=0,failed_calls=0",
		"info":        "calls=1,rejected_calls=0,failed_calls=0",
	}, commandStats(t, c))
	assert.Equal(t, map[string]string{
		"errorstat_ERR": "count=13", "errorstat_EXECABORT": "count=1", "errorstat_WRONGPASS": "count=1",
	}, infoOf(t, c, "errorstats"))
	assert.Equal(t, 15, s.Info(t, "total_error_replies"))
}

// The time of a batch on the core is shared among its commands: none has more than all, and all together not nothing.
func TestTimeOnTheCoreIsShared(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := s.Dial(t)
	for range 100 {
		_ = frame(t, c, "COMMAND", "DOCS")
	}
	value := infoOf(t, c, "commandstats")["cmdstat_command|docs"]
	var calls, sum int
	var per float64
	_, err := fmt.Sscanf(value, "calls=%d,usec=%d,usec_per_call=%f", &calls, &sum, &per)
	require.NoError(t, err)
	assert.Equal(t, 100, calls)
	assert.Positive(t, sum, "a hundred times some kilobytes take more than a microsecond")
	assert.InDelta(t, float64(sum)/100, per, 0.01)
}

// CONFIG RESETSTAT resets what it does in Redis, and leaves the account of messages alone.
func TestResetstat(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := s.Dial(t)
	_ = frame(t, c, "NOSUCH")
	_ = frame(t, c, "PUBLISH", "a", "b")
	require.Equal(t, "+OK\r\n", frame(t, c, "CONFIG", "RESETSTAT"))
	stats := infoOf(t, c, "stats")
	assert.Equal(t, "0", stats["total_error_replies"])
	assert.Equal(t, "0", stats["total_connections_received"])
	assert.Equal(t, "1", stats["total_commands_processed"], "INFO itself")
	assert.Equal(t, "1", stats["messages_published"])
	input, err := strconv.Atoi(stats["total_net_input_bytes"])
	require.NoError(t, err)
	assert.Equal(t, len(harness.RESP("INFO", "stats")), input)
	assert.Equal(t, map[string]string{
		"config|resetstat": "calls=1,rejected_calls=0,failed_calls=0", "info": "calls=2,rejected_calls=0,failed_calls=0",
	}, commandStats(t, c))
	assert.Empty(t, infoOf(t, c, "errorstats"))
}

// The sections of INFO are chosen as in Redis 7.0; that of connectors is behind them.
func TestSectionsOfInfo(t *testing.T) {
	c := harness.Start(t, server.Options{}).Dial(t)
	const usual = "Server Clients Memory Persistence Stats Replication CPU Errorstats Keyspace Cluster Connectors"
	const all = "Server Clients Memory Persistence Stats Replication CPU Commandstats Errorstats Keyspace Cluster Connectors"
	for asked, want := range map[string]string{
		"": usual, "default": usual, "Default COMMANDSTATS": all, "all": all, "everything": all, "cpu memory": "Memory CPU",
		"commandstats": "Commandstats", "nosuch": "", "stats nosuch": "Stats",
	} {
		var got []string
		for _, line := range strings.Split(frame(t, c, strings.Fields("INFO "+asked)...), "\r\n") {
			if name, ok := strings.CutPrefix(line, "# "); ok {
				got = append(got, name)
			}
		}
		assert.Equal(t, want, strings.Join(got, " "), asked)
	}
}

// What tools look for is there, and is true.
func TestInfoAboutTheProcess(t *testing.T) {
	s := harness.Start(t, server.Options{MaxMemory: 3 << 20})
	c := s.Dial(t)
	got := infoOf(t, c)
	_, port, err := net.SplitHostPort(s.Addr)
	require.NoError(t, err)
	assert.Equal(t, port, got["tcp_port"])
	assert.Equal(t, strconv.Itoa(os.Getpid()), got["process_id"])
	assert.Regexp(t, "^[0-9a-f]{40}$", got["run_id"])
	assert.Equal(t, "3145728", got["maxmemory"])
	assert.Equal(t, "3.00M", got["maxmemory_human"])
	assert.Regexp(t, `^\d+\.\d\d[KMG]$`, got["used_memory_human"])
	assert.Regexp(t, `^\d+\.\d{6}$`, got["used_cpu_user"])
	assert.Regexp(t, `^\d+\.\d{6}$`, got["used_cpu_sys"])
	assert.Regexp(t, `^\d+\.\d\d$`, got["mem_fragmentation_ratio"])
	bytes := func(field string) int {
		n, err := strconv.Atoi(got[field])
		require.NoError(t, err)
		return n
	}
	assert.Greater(t, bytes("used_memory"), 100_000)
	assert.Greater(t, bytes("used_memory_rss"), 1_000_000)
	assert.GreaterOrEqual(t, bytes("used_memory_peak"), bytes("used_memory"))
}

// A command of Redis that is not here is logged once for each library. What people mistype is not, nor what is no
// command of Redis.
func TestMissingCommandsAreLogged(t *testing.T) {
	log := new(logText)
	s := harness.Start(t, server.Options{Log: zerolog.New(log).Level(zerolog.WarnLevel)})
	for _, library := range []string{"redis-py", "lettuce", "redis-py"} {
		c := s.Dial(t)
		_ = frame(t, c, "CLIENT", "SETINFO", "LIB-NAME", library)
		for range 3 {
			_ = frame(t, c, "EVAL", "return 1", "0")
			_ = frame(t, c, "nosuch")
		}
	}
	c := s.Dial(t)
	_ = frame(t, c, "client", "pause", "100")
	_ = frame(t, c, "client", "nosuch")
	c.Send("SET a b\n")
	c.Line()
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 3)
	for i, want := range []string{`"EVAL","lib":"redis-py"`, `"EVAL","lib":"lettuce"`, `"CLIENT PAUSE","lib":""`} {
		assert.Contains(t, lines[i], `"command":`+want+`,"peer":"127.0.0.1:`)
	}
	assert.Contains(t, lines[0], "a client uses a command that conch does not have")
}
