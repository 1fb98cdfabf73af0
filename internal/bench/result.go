package bench

import (
	"errors"
	"time"
)

// Result is the result of a load. Times are in nanoseconds in JSON.
type Result struct {
	Load
	Published           int64         `json:"published"`  // messages of the measured part
	Deliveries          int64         `json:"deliveries"` // of these, summed over all subscribers
	Lost                int64         `json:"lost"`       // missing deliveries, warm-up included
	Elapsed             time.Duration `json:"elapsed_ns"` // until the last subscriber had the last message
	DeliveriesPerSecond float64       `json:"deliveries_per_second"`
	BytesPerSecond      float64       `json:"bytes_per_second"` // payload alone

	P50          time.Duration `json:"p50_ns"`
	P90          time.Duration `json:"p90_ns"`
	P99          time.Duration `json:"p99_ns"`
	P999         time.Duration `json:"p999_ns"`
	Max          time.Duration `json:"max_ns"`
	Samples      int64         `json:"samples"`                // deliveries with a recorded latency: all with a rate
	LateP99      time.Duration `json:"late_p99_ns"`            // with a rate: delay of the generator itself
	LateP999     time.Duration `json:"late_p999_ns,omitempty"` //
	LateMax      time.Duration `json:"late_max_ns"`            //
	Distribution []Quantile    `json:"distribution,omitempty"` // more quantiles

	CPU            time.Duration `json:"cpu_ns"`              // of the server, in the measured part
	CPUPerDelivery time.Duration `json:"cpu_per_delivery_ns"` // rounded to nanoseconds
	Memory         int64         `json:"memory_bytes"`        // the server's resident memory at the end of the load
	PeakMemory     int64         `json:"peak_memory_bytes"`   // since the server started
	ProcessNote    string        `json:"process_note,omitempty"`

	Baseline           float64 `json:"baseline"` // deliveries a second of the relay baseline; 0: not measured
	LimitedByGenerator bool    `json:"limited_by_generator"`
	BaselineNote       string  `json:"baseline_note,omitempty"` // reason without a baseline
	Timeline           []Point `json:"timeline,omitempty"`
}

// Quantile is one point of the distribution: Percent of the latencies are at most Latency.
type Quantile struct {
	Percent float64       `json:"percent"`
	Latency time.Duration `json:"latency_ns"`
}

// nearBaseline is the share of the baseline from which the generator, not the server, limits a result.
const nearBaseline = 0.9

// CompareTo sets the relay baseline under the same load, in deliveries a second.
func (r *Result) CompareTo(baseline float64) {
	r.Baseline = baseline
	r.LimitedByGenerator = baseline > 0 && r.DeliveriesPerSecond >= nearBaseline*baseline
}

// errNothingDue is the error of a measured part that is too short for the rate.
var errNothingDue = errors.New("no message was due in the measured part: raise the rate or the duration")

// result returns the result of an ended run, or an error if the measured part had not begun.
func (t *timeline) result() (*Result, error) {
	r := t.run
	out := &Result{Load: r.load, Timeline: t.points}
	t.count(out)
	if out.Published == 0 || !r.isMeasuring() {
		if r.failure == nil {
			return nil, errNothingDue
		}
		return nil, r.failure
	}
	out.Elapsed = max(r.lastDelivery()-time.Duration(r.started.Load()), 1)
	out.DeliveriesPerSecond = float64(out.Deliveries) / out.Elapsed.Seconds()
	out.BytesPerSecond = out.DeliveriesPerSecond * r.layout.meanSize()
	t.distribution(out)
	t.addUsage(out)
	if errors.Is(r.failure, errStalled) {
		return out, nil // counted as losses
	}
	return out, r.failure
}

// count counts messages and losses.
func (t *timeline) count(out *Result) {
	r := t.run
	for i, p := range r.publishers {
		first, sent := r.firsts[i].Load(), p.sent.Load()
		if first != notMeasured {
			out.Published += max(0, sent-first)
		}
		for _, s := range r.subscribers {
			got := s.row[i].got.Load()
			out.Deliveries += r.layout.countOf(first, got)
			if t.stalled {
				out.Lost += r.layout.missingOf(got, sent)
			}
		}
	}
	for _, s := range r.subscribers {
		out.Lost += s.missed.Load()
		out.Deliveries -= s.missedHere.Load()
	}
}

func (t *timeline) distribution(out *Result) {
	h := t.run.latencies.total()
	if out.Samples = h.TotalCount(); out.Samples == 0 {
		return
	}
	out.P50, out.P90, out.P99, out.P999 = quantile(h, 50), quantile(h, 90), quantile(h, 99), quantile(h, 99.9)
	out.Max = quantile(h, 100)
	for _, percent := range []float64{
		0, 10, 25, 50, 60, 70, 75, 80, 85, 90, 92.5, 95, 96, 97, 98, 98.5, 99, 99.3, 99.5, 99.7, 99.9, 99.95, 99.99, 99.995, 99.999, 100,
	} {
		out.Distribution = append(out.Distribution, Quantile{percent, quantile(h, percent)})
	}
	late := newHistogram(2)
	for _, p := range t.run.publishers {
		late.Merge(p.lateness)
	}
	if late.TotalCount() > 0 {
		out.LateP99, out.LateP999, out.LateMax = quantile(late, 99), quantile(late, 99.9), quantile(late, 100)
	}
}

// addUsage adds CPU time and memory of the server's process.
func (t *timeline) addUsage(out *Result) {
	switch {
	case out.PID == 0:
	case t.run.before.err != nil:
		out.ProcessNote = t.run.before.err.Error()
	case t.after.err != nil:
		out.ProcessNote = t.after.err.Error()
	default:
		out.CPU = t.after.cpu - t.run.before.cpu
		out.CPUPerDelivery = out.CPU / time.Duration(max(out.Deliveries, 1))
		out.Memory, out.PeakMemory = t.after.rss, t.after.peak
	}
}
