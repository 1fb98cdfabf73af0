package bench

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Progress shows how far a run is: as a bar with live rates on a terminal, as a plain line a second elsewhere.
type Progress struct {
	out      io.Writer
	terminal bool
	bar      *progressbar.ProgressBar
	line     time.Duration // the next plain line is due
}

// NewProgress makes one that writes to out.
func NewProgress(out io.Writer, terminal bool) *Progress {
	return &Progress{out: out, terminal: terminal}
}

// Watch is what to give to Run. The name says which run it is.
func (p *Progress) Watch(name string) func(Live) {
	p.line = time.Second
	if !p.terminal {
		return func(v Live) { p.plain(name, v) }
	}
	return func(v Live) {
		if p.bar == nil {
			p.bar = progressbar.NewOptions64(int64(v.Of), progressbar.OptionSetWriter(p.out), progressbar.OptionSetWidth(barWidth),
				progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false), progressbar.OptionClearOnFinish())
		}
		p.bar.Describe(rates(name, v))
		_ = p.bar.Set64(int64(min(v.Elapsed, v.Of))) // a bar that cannot be drawn is no reason to stop
	}
}

func (p *Progress) plain(name string, v Live) {
	if v.Elapsed < p.line {
		return
	}
	p.line = v.Elapsed.Truncate(time.Second) + time.Second
	_, _ = fmt.Fprintln(p.out, describe(name, v)) // the result comes on its own way
}

// End takes the bar away.
func (p *Progress) End() {
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = nil
	}
}

// barWidth leaves room for the rates on a terminal of 80 columns.
const barWidth = 15

// rates is what stands before the bar.
func rates(name string, v Live) string {
	if v.WarmUp {
		name += ", warm-up"
	}
	return fmt.Sprintf("%s: %s/s published, %s/s delivered", name, formatNumber(v.PublishedPerSecond), formatNumber(v.DeliveriesPerSecond))
}

// describe is the same with how far it is, which a bar shows by itself.
func describe(name string, v Live) string {
	return fmt.Sprintf("%s (%.0f of %.0f s)", rates(name, v), v.Elapsed.Seconds(), v.Of.Seconds())
}
