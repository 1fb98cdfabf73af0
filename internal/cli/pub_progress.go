package cli

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows on a terminal how far publishing is, when it takes longer than a moment. A nil one shows nothing.
type progress struct {
	size  int64 // bytes of the input; 0: nobody knows
	after time.Time
	done  int64 // bytes, or where nobody knows the size, messages
	bar   *progressbar.ProgressBar
	shown bool
}

const moment = time.Second

// newProgress begins to count the moment.
func newProgress(out io.Writer, size int64) *progress {
	m := &progress{size: size, after: time.Now().Add(moment)}
	m.bar = progressbar.NewOptions64(m.total(), progressbar.OptionSetWriter(out), progressbar.OptionSetDescription("published"),
		progressbar.OptionShowBytes(size > 0), progressbar.OptionShowCount(), progressbar.OptionSetItsString("messages"),
		progressbar.OptionSetWidth(20), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetSpinnerChangeInterval(0)) // else it has a goroutine
	if size == 0 {
		progressbar.OptionShowIts()(m.bar)
	}
	return m
}

// total is what the bar takes for everything. The last line need not end in a newline, which is counted all the same.
func (m *progress) total() int64 {
	if m.size == 0 {
		return -1
	}
	return m.size + 1
}

// add counts a message of so many bytes of the input.
func (m *progress) add(bytes int) {
	if m == nil {
		return
	}
	if m.done++; m.size > 0 {
		m.done += int64(bytes) - 1
	}
	if m.shown = m.shown || time.Now().After(m.after); m.shown {
		_ = m.bar.Set64(m.done) // a bar that cannot be drawn is no reason to stop
	}
}

// end takes the bar away.
func (m *progress) end() {
	if m != nil && m.shown {
		_ = m.bar.Finish() // as above
	}
}
