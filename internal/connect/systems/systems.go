// Package systems lists the systems that conch connects to.
package systems

import (
	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/exec"
	"github.com/conchmq/conch/internal/connect/file"
	"github.com/conchmq/conch/internal/connect/kafka"
	"github.com/conchmq/conch/internal/connect/mqtt"
	"github.com/conchmq/conch/internal/connect/nats"
	"github.com/conchmq/conch/internal/connect/rabbitmq"
	"github.com/conchmq/conch/internal/connect/redis"
	"github.com/conchmq/conch/internal/connect/sse"
	"github.com/conchmq/conch/internal/connect/stdio"
	"github.com/conchmq/conch/internal/connect/webhook"
	"github.com/conchmq/conch/internal/connect/websocket"
)

// All is the table of systems, in the order of docs/connect.md.
var All = []connect.System{
	kafka.System,
	rabbitmq.System,
	mqtt.System,
	nats.System,
	redis.System,
	websocket.System,
	sse.System,
	webhook.System,
	stdio.System,
	file.System,
	exec.System,
}
