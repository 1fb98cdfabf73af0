package web

import (
	"bytes"
	"net/http"

	"github.com/conchmq/conch/internal/metrics"
)

// getMetrics is GET /metrics, for Prometheus. INFO checks the right; its connection has ended when the numbers are taken.
//
// The answer is whole before its first byte leaves: a slow reader holds nothing else.
func (x *exchange) getMetrics() error {
	if err := x.checkRight("INFO", "server"); err != nil {
		return err
	}
	n, ok := x.server.service.Snapshot()
	if !ok {
		return errStopping
	}
	var text bytes.Buffer
	metrics.Write(&text, n)
	x.begin(http.StatusOK, metrics.ContentType)
	_, _ = x.writer.Write(text.Bytes()) // on failure the client is gone
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
