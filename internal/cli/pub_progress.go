package cli

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows the progress of publishing on a terminal, once it takes longer than a moment. A nil one shows nothing.
type progress struct {
	size  int64 // bytes of the input; 0: unknown
	after time.Time
	done  int64 // bytes; messages if the size is unknown
	bar   *progressbar.ProgressBar
	shown bool
}

const moment = time.Second

// newProgress starts the moment before which nothing is shown.
func newProgress(out io.Writer, size int64) *progress {
	m := &progress{size: size, after: time.Now().Add(moment)}
	m.bar = progressbar.NewOptions64(m.total(), progressbar.OptionSetWriter(out), progressbar.OptionSetDescription("published"),
		progressbar.OptionShowBytes(size > 0), progressbar.OptionShowCount(), progressbar.OptionSetItsString("messages"),
		progressbar.OptionSetWidth(20), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetSpinnerChangeInterval(0)) // otherwise the bar starts a goroutine
	if size == 0 {
		progressbar.OptionShowIts()(m.bar)
	}
	return m
}

// total is the end of the bar. It has one byte for a missing newline at the end, because each line counts one.
func (m *progress) total() int64 {
	if m.size == 0 {
		return -1
	}
	return m.size + 1
}

// add counts one message, a line of so many bytes.
func (m *progress) add(bytes int) {
	if m == nil {
		return
	}
	if m.done++; m.size > 0 {
		m.done += int64(bytes) - 1
	}
	if m.shown = m.shown || time.Now().After(m.after); m.shown {
		_ = m.bar.Set64(m.done) // publishing goes on without a bar
	}
}

// end removes the bar.
func (m *progress) end() {
	if m != nil && m.shown {
		_ = m.bar.Finish() // as above
	}
}
