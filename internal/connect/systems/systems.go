// Package systems lists the systems that conch connects to.
package systems

import (
	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/mqtt"
	"github.com/conchmq/conch/internal/connect/nats"
	"github.com/conchmq/conch/internal/connect/rabbitmq"
	"github.com/conchmq/conch/internal/connect/redis"
)

// All is the table of systems, in the order of docs/connect.md.
var All = []connect.System{
	mqtt.System,
	nats.System,
	redis.System,
	rabbitmq.System,
}
