package daemon

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/tlsfiles"
	"github.com/conchmq/conch/server"
)

// Check validates the settings and the files that they name. It opens no port, so that it can run beside a conch that
// serves.
func Check(c *config.Config) error {
	if c.HasTLS() {
		if _, err := tlsfiles.Open(c.TLSFiles); err != nil {
			return err
		}
	}
	if files, ok := c.Cluster.TLSFiles(); ok {
		if _, err := tlsfiles.Open(files); err != nil {
			return err
		}
	}
	c.Server.Log = zerolog.Nop()
	b := broker.New(broker.Options{})
	srv, err := server.New(b, c.Server)
	if err != nil {
		return optionsError(err)
	}
	core := startCore(c.Server.Log, b.Run)
	srv.Shutdown(context.Background()) // it has goroutines, and no connections
	core.stop()
	return nil
}
