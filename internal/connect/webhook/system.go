// Package webhook sends messages as HTTP requests, signed as https://www.standardwebhooks.com describes it: libraries in many languages
// check that. Its other direction is internal/connect/sse.
package webhook

import "github.com/conchmq/conch/internal/connect"

// System is the row of webhooks.
var System = connect.System{
	Name: "webhook", Schemes: []string{"http", "https"},
	Sink: newSink,
}
