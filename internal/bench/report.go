package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

// fact is one row of the result table.
type fact struct{ Name, Value, Note string }

// Words describes the load in words.
func (l Load) Words() string {
	speed := "as fast as they go"
	if l.Rate > 0 {
		speed = fmt.Sprintf("%s messages/s on a schedule", strconv.FormatFloat(l.Rate, 'f', -1, 64))
	}
	over := "over"
	if l.Spread {
		over = "spread over"
	}
	return fmt.Sprintf("%s, %s to %s %s %s, %s payload, up to %s a write, %s, at most %d messages in flight",
		l.Dialect, plural(l.Publishers, "publisher"), plural(l.Subscribers, "subscriber"), over, plural(l.Topics, "topic"), l.Size,
		plural(l.Pipeline, "command"), speed, l.InFlight)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// facts returns the rows of the table, for the terminal and the page.
func (r *Result) facts() []fact {
	limited := ""
	if r.LimitedByGenerator {
		limited = "limited by the generator: this is near its baseline"
	}
	lost := ""
	if r.Lost > 0 {
		lost = "LOST: the other figures do not count"
	}
	sampled := "all deliveries"
	if r.Rate == 0 {
		sampled = "the first and the last delivery of each read"
	}
	out := []fact{
		{"published", fmt.Sprint(r.Published), ""},
		{"deliveries", fmt.Sprint(r.Deliveries), fmt.Sprintf("in %.3f s", r.Elapsed.Seconds())},
		{"lost", fmt.Sprint(r.Lost), lost},
		{"deliveries/s", formatNumber(r.DeliveriesPerSecond), limited},
		{"bytes/s", formatBytes(r.BytesPerSecond), "payload alone"},
		{"latency p50", formatDuration(r.P50), fmt.Sprintf("of %d samples: %s", r.Samples, sampled)},
		{"latency p90", formatDuration(r.P90), ""},
		{"latency p99", formatDuration(r.P99), ""},
		{"latency p99.9", formatDuration(r.P999), ""},
		{"latency max", formatDuration(r.Max), ""},
	}
	if r.Rate > 0 {
		out = append(out, fact{"late p99", formatDuration(r.LateP99), fmt.Sprintf("how late the generator itself sent; at most %s", formatDuration(r.LateMax))})
	}
	return append(append(out, r.serverFacts()...), r.baselineFact())
}

func (r *Result) serverFacts() []fact {
	switch {
	case r.PID == 0:
		return nil
	case r.ProcessNote != "":
		return []fact{{"server", "-", r.ProcessNote}}
	}
	each := float64(r.CPU) / float64(max(r.Deliveries, 1)) / float64(time.Microsecond)
	return []fact{
		{"server CPU", fmt.Sprintf("%.4g µs", each), fmt.Sprintf("a delivery; %.0f %% of one processor", 100*r.CPU.Seconds()/r.Elapsed.Seconds())},
		{"server memory", formatBytes(float64(r.Memory)), "resident at the end; at most " + formatBytes(float64(r.PeakMemory))},
	}
}

func (r *Result) baselineFact() fact {
	if r.Baseline == 0 {
		return fact{"baseline", "-", r.BaselineNote}
	}
	return fact{
		"baseline", formatNumber(r.Baseline),
		fmt.Sprintf("deliveries/s of a relay; the server reached %.0f %% of it", 100*r.DeliveriesPerSecond/r.Baseline),
	}
}

// WriteTable writes the result as a table.
func (r *Result) WriteTable(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintln(out, r.Words()); err != nil {
		return err
	}
	for _, f := range r.facts() {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Name, f.Value, f.Note)
	}
	return w.Flush()
}

// WriteJSON writes the result as one line of JSON.
func (r *Result) WriteJSON(out io.Writer) error {
	return json.NewEncoder(out).Encode(r)
}

// formatNumber formats a number with three digits and a unit.
func formatNumber(v float64) string {
	switch {
	case v >= 999.5e6:
		return fmt.Sprintf("%.3g G", v/1e9)
	case v >= 999.5e3:
		return fmt.Sprintf("%.3g M", v/1e6)
	case v >= 99.95e3:
		return fmt.Sprintf("%.0f k", v/1e3)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

func formatBytes(v float64) string {
	unit := 0
	for v >= 1023.5 && unit < 4 {
		v /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %s", v, [...]string{"B", "KiB", "MiB", "GiB", "TiB"}[unit])
}

func formatDuration(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond))
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}
