package web

import (
	"net/http"
	"strings"

	"github.com/conchmq/conch/internal/command"
)

// getConnectors is GET /connectors: the sources and sinks with their counts. The right is that to INFO, which shows the same.
func (x *exchange) getConnectors() error {
	return x.once([]string{"INFO", "connectors"}, func(any) any {
		rows := []any{}
		for _, c := range x.server.service.Connectors() {
			row := object{}
			for _, f := range c.Fields() {
				if text, ok := f.Value.(string); ok { // a message of another system may have any bytes
					f.Value = []byte(text)
				}
				row = append(row, field{f.Name, f.Value})
			}
			rows = append(rows, row)
		}
		return object{{"connectors", rows}}
	})
}

// postSourcePause and those that follow are POST /connectors/{direction}/{name}/pause and /resume.
func (x *exchange) postSourcePause() error  { return x.changeConnector(command.Source, "PAUSE") }
func (x *exchange) postSourceResume() error { return x.changeConnector(command.Source, "RESUME") }
func (x *exchange) postSinkPause() error    { return x.changeConnector(command.Sink, "PAUSE") }
func (x *exchange) postSinkResume() error   { return x.changeConnector(command.Sink, "RESUME") }

func (x *exchange) changeConnector(d command.Direction, verb string) error {
	if _, err := x.run(strings.ToUpper(string(d)), verb, x.params["name"]); err != nil {
		return err
	}
	x.writer.WriteHeader(http.StatusNoContent)
	return nil
}
