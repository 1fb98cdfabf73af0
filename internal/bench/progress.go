package bench

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Progress shows the progress of a run: a bar with live rates on a terminal, a line each second elsewhere.
type Progress struct {
	out      io.Writer
	terminal bool
	bar      *progressbar.ProgressBar
	line     time.Duration // time of the next line
}

// NewProgress returns a Progress that writes to out.
func NewProgress(out io.Writer, terminal bool) *Progress {
	return &Progress{out: out, terminal: terminal}
}

// Watch returns the watch function for Run. name is the name of the run.
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
		_ = p.bar.Set64(int64(min(v.Elapsed, v.Of))) // a failure to draw does not end the run
	}
}

func (p *Progress) plain(name string, v Live) {
	if v.Elapsed < p.line {
		return
	}
	p.line = v.Elapsed.Truncate(time.Second) + time.Second
	_, _ = fmt.Fprintln(p.out, describe(name, v)) // the result does not depend on it
}

// End removes the bar.
func (p *Progress) End() {
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = nil
	}
}

// barWidth leaves room for the rates on a terminal of 80 columns.
const barWidth = 15

// rates is the text before the bar.
func rates(name string, v Live) string {
	if v.WarmUp {
		name += ", warm-up"
	}
	return fmt.Sprintf("%s: %s/s published, %s/s delivered", name, formatNumber(v.PublishedPerSecond), formatNumber(v.DeliveriesPerSecond))
}

// describe is the text of a line: the rates, and the progress that a bar shows graphically.
func describe(name string, v Live) string {
	return fmt.Sprintf("%s (%.0f of %.0f s)", rates(name, v), v.Elapsed.Seconds(), v.Of.Seconds())
}
