package web

import (
	_ "embed"
	"net/http"
)

// openapi describes the routes. A test compares it with the table, and all answers of the tests
// with it.
//
//go:embed openapi.yaml
var openapi []byte

// getOpenAPI is GET /openapi.yaml. It needs no user: it is the same for all.
func (x *exchange) getOpenAPI() error {
	x.begin(http.StatusOK, "application/yaml")
	_, _ = x.writer.Write(openapi) // on failure the client is gone
	return nil
}
