package apps

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

const docs = "../../docs/clients.md"

// app is one row of the table in docs/clients.md.
type app struct {
	name    string
	does    string   // through conch, between its two processes
	program []string // run as: program HOST PORT variant serve, then program HOST PORT variant use ADDRESS
	variant string
}

const (
	servers = "two servers, each with clients: broadcasts, bytes, rooms, acknowledgements, requests to the other server"
	service = "200 requests at once, an answer of many parts, an error, events in order"
)

var (
	socketIO = []string{"node", "node/socketio.js"}
	nestJS   = []string{"node", "node/nestjs.js"}
)

// all are the applications of a run, and the rows of the table, in their order. The exporter alone is driven by the test itself.
var all = []app{
	{"Socket.IO, Redis adapter, ioredis", servers, socketIO, "classic/ioredis"},
	{"Socket.IO, Redis adapter, node-redis", servers, socketIO, "classic/redis"},
	{"Socket.IO, sharded Redis adapter, ioredis", servers, socketIO, "sharded/ioredis"},
	{"Socket.IO, sharded Redis adapter, node-redis", servers, socketIO, "sharded/redis"},
	{"graphql-redis-subscriptions", "mutations in one process, subscriptions to a name, a pattern and a filter in the other", []string{"node", "node/graphql.js"}, "-"},
	{"NestJS, Redis transport", service, nestJS, "topics"},
	{"NestJS, Redis transport with wildcards", service, nestJS, "wildcards"},
	{
		"python-socketio, RedisManager", "two servers, each with clients, and an emitter: broadcasts, rooms, callbacks, disconnects",
		[]string{"/usr/bin/python3", "python/socketio_manager.py"}, "-",
	},
	{
		"Rails ActionCable, Redis adapter", "200 broadcasts to the other server and back, a shared subscription, its end",
		[]string{"/usr/bin/ruby", "ruby/actioncable.rb"}, "-",
	},
	{"prometheus-redis-exporter", "scrapes `INFO` and `CONFIG`; its figures are those of the server", nil, ""},
}

// The table has the applications of a run, all pass, and those of npm have the versions that are installed.
func TestTheTable(t *testing.T) {
	var lock struct {
		Packages map[string]struct{ Version string }
	}
	text, err := os.ReadFile("node/package-lock.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &lock))
	rows := harness.Table(t, docs, "apps")
	require.Len(t, rows, len(all))
	for i, a := range all {
		assert.Equal(t, []string{a.name, a.does, "passes"}, []string{rows[i][0], rows[i][2], rows[i][3]})
		if len(a.program) == 0 || a.program[0] != "node" {
			continue
		}
		for _, versioned := range strings.Split(rows[i][1], ", ") {
			name, version, _ := strings.Cut(versioned, " ")
			assert.Equal(t, lock.Packages["node_modules/"+name].Version, version, "%s of %s", name, a.name)
		}
	}
}
