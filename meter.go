package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// meter shows on a terminal how far publishing is, when it takes longer than a moment. A nil one shows nothing.
type meter struct {
	out   io.Writer
	size  int64 // bytes of the input; 0: nobody knows
	after time.Time
	done  int64 // bytes, or where nobody knows the size, messages
	bar   *progressbar.ProgressBar
}

const moment = time.Second

// newMeter begins to count the moment.
func newMeter(out io.Writer, size int64) *meter {
	return &meter{out: out, size: size, after: time.Now().Add(moment)}
}

// add counts a message of so many bytes of the input.
func (m *meter) add(bytes int) {
	if m == nil {
		return
	}
	if m.done++; m.size > 0 {
		m.done += int64(bytes) - 1
	}
	if m.bar == nil {
		if time.Now().Before(m.after) {
			return
		}
		m.bar = progressbar.NewOptions64(m.total(), progressbar.OptionSetWriter(m.out), progressbar.OptionSetDescription("published"),
			progressbar.OptionShowBytes(m.size > 0), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("messages"),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetWidth(20), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetSpinnerChangeInterval(0)) // else it has a goroutine
	}
	_ = m.bar.Set64(m.done) // a bar that cannot be drawn is no reason to stop
}

// total is what the bar takes for everything. The last line need not end in a newline, which is counted all the same.
func (m *meter) total() int64 {
	if m.size == 0 {
		return -1
	}
	return m.size + 1
}

// end takes the bar away.
func (m *meter) end() {
	if m != nil && m.bar != nil {
		_ = m.bar.Finish() // as above
	}
}
