package daemon

import (
	"context"
	"sync"

	"github.com/conchmq/conch/internal/config"
)

// ConnectorCheck is what became of one connector of the settings.
type ConnectorCheck struct {
	Direction, Name, URL string // without a password
	Err                  error
}

// CheckConnectors describes the connectors of the settings, which are valid; with dial it connects each of them once, all at the same time.
func CheckConnectors(ctx context.Context, c *config.Config, dial bool) ([]ConnectorCheck, error) {
	plans, err := c.Compiler.CompileAll(c.Connectors)
	if err != nil {
		return nil, err //nolint:wrapcheck // a file that has changed since it was read
	}
	checks := make([]ConnectorCheck, len(plans))
	var dialing sync.WaitGroup
	for i, p := range plans {
		checks[i] = ConnectorCheck{Direction: string(p.Direction), Name: p.Name, URL: p.Shown()}
		if dial {
			dialing.Go(func() { checks[i].Err = p.Dial(ctx, c.Compiler.Limit) })
		}
	}
	dialing.Wait()
	return checks, nil
}
