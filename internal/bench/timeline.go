package bench

import (
	"errors"
	"time"
)

// errStalled ends a run without progress. In the measured part the result counts losses instead.
var errStalled = errors.New("nothing arrives any more")

// Point is one step of the measured part.
type Point struct {
	Second     float64       `json:"second"`     // since the measured part began
	Deliveries float64       `json:"deliveries"` // a second, in this step
	P50        time.Duration `json:"p50_ns"`
	P99        time.Duration `json:"p99_ns"`
}

// timeline samples and reports the progress of a run, and detects stalls. One goroutine owns it.
type timeline struct {
	run     *run
	report  func(Live)
	step    time.Duration
	points  []Point
	after   usage         // of the server's process
	counts  bool          // the current step belongs to the measured part
	last    progress      // at the last step
	at      time.Duration // time of the last step
	changed time.Duration // time of the last progress
	stall   time.Duration // maximum time without progress
	stalled bool          // the maximum was exceeded
}

func newTimeline(r *run, stall time.Duration, report func(Live)) *timeline {
	if report == nil {
		report = func(Live) {}
	}
	step := stepTime
	if r.load.Duration > time.Minute {
		step = longStepTime
	}
	return &timeline{run: r, report: report, step: step, stall: stall}
}

// watch samples until the publishers are done, and then ends the run.
func (t *timeline) watch(published <-chan struct{}) {
	timer := time.NewTimer(t.wait())
	defer timer.Stop()
	measuring := t.run.measuring
	for {
		select {
		case <-published:
			if t.run.load.Rate > 0 && !t.run.isMeasuring() { // over before this goroutine was scheduled
				t.run.measure(t.run.load.WarmUp)
			}
			t.after = readUsage(t.run.load.PID)
			t.sample()
			t.run.end(nil)
			return
		case <-measuring: // a step ends here
			measuring = nil
			t.sample()
			t.counts = true
		case <-timer.C:
			if l := &t.run.load; l.Rate > 0 && !t.run.isMeasuring() && t.run.now() >= l.WarmUp {
				t.run.measure(l.WarmUp)
			} else {
				t.sample()
			}
		}
		timer.Reset(t.wait())
	}
}

// wait is the time to the next step. With a rate, one step ends exactly at the start of the measured part.
func (t *timeline) wait() time.Duration {
	next, l := t.at+t.step, &t.run.load
	if l.Rate > 0 && !t.run.isMeasuring() {
		next = min(next, l.WarmUp)
	}
	return next - t.run.now()
}

// sample ends a step.
func (t *timeline) sample() {
	r := t.run
	now, g := r.now(), r.progress()
	seconds := max(now-t.at, 1).Seconds()
	live := Live{
		Elapsed: now, Of: r.load.WarmUp + r.load.Duration, WarmUp: !t.counts, Published: g.published, Deliveries: g.deliveries,
		PublishedPerSecond:  float64(g.published-t.last.published) / seconds,
		DeliveriesPerSecond: float64(g.deliveries-t.last.deliveries) / seconds,
	}
	h := r.latencies.takeStep()
	if t.counts && now-t.at > t.step/2 { // the last step may be too short to be meaningful
		t.points = append(t.points, Point{
			Second:     (now - time.Duration(r.started.Load())).Seconds(),
			Deliveries: live.DeliveriesPerSecond, P50: quantile(h, 50), P99: quantile(h, 99),
		})
	}
	if g.deliveries+g.replies != t.last.deliveries+t.last.replies || g.missing == 0 {
		t.changed = now
	}
	t.at, t.last = now, g
	t.report(live)
	if now-t.changed > t.stall {
		t.stalled = true
		r.end(errStalled)
	}
}
