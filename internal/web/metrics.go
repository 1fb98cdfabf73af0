package web

import (
	"bytes"
	"net/http"

	"github.com/conchmq/conch/internal/metrics"
)

// getMetrics is GET /metrics, for Prometheus. INFO checks the right; its connection, which holds the answer, is not counted.
//
// The answer is whole before its first byte leaves: a slow reader holds nothing else.
func (x *exchange) getMetrics() error {
	if _, err := x.show("INFO", "server"); err != nil {
		return err
	}
	n, ok := x.server.service.Snapshot()
	if !ok {
		return errStopping
	}
	n.Clients--
	var text bytes.Buffer
	metrics.Write(&text, n)
	x.text(http.StatusOK, metrics.ContentType, text.Bytes())
	return nil
}

// checkRight runs a command whose reply does not matter: the user may run it.
func (x *exchange) checkRight(args ...string) error {
	c, err := x.open()
	if err != nil {
		return err
	}
	defer c.close()
	_, err = c.do(args...)
	return err
}
