package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/conchmq/conch/internal/uplot"
)

// pageText is the page. WritePage puts it and uPlot, which draws the plots, into one file.
//
//go:embed web/page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// plotData is the input of the page's script. Times are in microseconds.
type plotData struct {
	Percentiles []percentile `json:"percentiles"`
	End         float64      `json:"end"` // X of the maximum
	Points      []plotPoint  `json:"points"`
}

// percentile is a latency and its position: 100/(100-percent).
type percentile struct {
	X       float64 `json:"x"`
	Latency float64 `json:"us"`
}

type plotPoint struct {
	Second     float64  `json:"s"`
	Deliveries float64  `json:"d"`
	P50        *float64 `json:"p50"` // absent without a latency in the step
	P99        *float64 `json:"p99"`
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// WritePage writes the result as one HTML page with plots, without references to other files.
func (r *Result) WritePage(out io.Writer) error {
	warning := ""
	if r.Lost > 0 {
		warning = fmt.Sprintf("%d deliveries were lost: the other figures do not count.", r.Lost)
	}
	err := pageTemplate.Execute(out, map[string]any{
		"Title": "Load on " + r.Address, "Words": r.Words(), "Warning": warning, "Origin": r.Origin, "Facts": r.facts(), "Data": r.plotData(),
		"Library": template.JS(uplot.Script), "LibraryStyle": template.CSS(uplot.Style), //nolint:gosec // embedded, not input
	})
	if err != nil {
		return fmt.Errorf("page: %w", err)
	}
	return nil
}

func (r *Result) plotData() plotData {
	d := plotData{End: 10, Percentiles: []percentile{}, Points: []plotPoint{}}
	for _, q := range r.Distribution {
		// The maximum is one step after the last percentile that the number of samples supports.
		x := d.End
		if q.Percent < 100 {
			x = 100 / (100 - q.Percent)
			if x > float64(r.Samples) {
				continue
			}
			d.End = x * 10
		}
		d.Percentiles = append(d.Percentiles, percentile{x, microseconds(q.Latency)})
	}
	for _, p := range r.Timeline {
		point := plotPoint{Second: p.Second, Deliveries: p.Deliveries}
		if p.P50 > 0 {
			p50, p99 := microseconds(p.P50), microseconds(p.P99)
			point.P50, point.P99 = &p50, &p99
		}
		d.Points = append(d.Points, point)
	}
	return d
}
