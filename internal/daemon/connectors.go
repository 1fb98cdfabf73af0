package daemon

import (
	"context"

	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/connect"
)

// applyConnectors makes the connectors of the file those of the settings: at the start, and at a reload.
func (d *daemon) applyConnectors(c *config.Config) {
	if err := d.connectors.Apply(c.Connectors); err != nil {
		d.log.Error().Err(err).Msg("the connectors of the file cannot be used; those before go on")
		return
	}
	if n := len(c.Connectors); n > 0 {
		d.log.Info().Int("connectors", n).Msg("the connectors of the file are in force")
	}
	if d.node != nil {
		d.node.SetConnectorFile(connect.Digest(c.Connectors))
	}
}

// stopConnectors stops sources first, so that what they have read takes effect, and then sinks, which send what waits for them. Both have
// drain-timeout together. They need the core, and sinks the service.
func (d *daemon) stopConnectors() {
	within, cancel := context.WithTimeout(context.Background(), d.server.Options().DrainTimeout)
	defer cancel()
	for _, stop := range []func(context.Context) error{d.connectors.StopSources, d.connectors.StopSinks} {
		if err := stop(within); err != nil {
			d.log.Warn().Err(err).Msg("connectors have not ended within drain-timeout")
		}
	}
}
