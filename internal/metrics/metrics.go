// Package metrics writes what a conch counts in the text format of Prometheus.
//
// The numbers are plain integers of the core and of connections, so that counting costs no more than without metrics. A
// scrape copies them at one instant ([command.Snapshot]) and writes them from the table in table.go. Metrics of the
// process and of the Go runtime are those of a library, under the names that dashboards know.
package metrics

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	library "github.com/VictoriaMetrics/metrics"

	"github.com/conchmq/conch/internal/command"
)

// ContentType is the type of what Write writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// kind is a type of the format.
type kind string

const (
	counter kind = "counter" // it only grows; a restart begins at 0
	gauge   kind = "gauge"
)

// metric is a row of the table.
type metric struct {
	name string
	kind kind
	// labels are the names of the labels. Their values are words of conch, never those of a client.
	labels []string
	help   string
	// read passes each value with those of its labels.
	read func(n *command.Snapshot, emit emitter)
}

type emitter func(value float64, labels ...string)

func init() {
	library.ExposeMetadata(true) // HELP and TYPE; a global of the library
}

// Write writes all metrics.
func Write(w io.Writer, n *command.Snapshot) {
	for i := range table {
		m := &table[i]
		_, _ = fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
		m.read(n, func(value float64, labels ...string) {
			_, _ = io.WriteString(w, m.sample(value, labels))
		})
	}
	library.WriteProcessMetrics(w)
	library.WriteFDMetrics(w)
}

// sample is one line.
func (m *metric) sample(value float64, labels []string) string {
	var b strings.Builder
	b.WriteString(m.name)
	for i, label := range labels {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(m.labels[i] + `="` + escaped.Replace(label) + `"`)
	}
	if len(labels) > 0 {
		b.WriteByte('}')
	}
	return b.String() + " " + strconv.FormatFloat(value, 'g', -1, 64) + "\n"
}

// escaped is the form of a label's value.
var escaped = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
