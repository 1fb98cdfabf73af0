package bench

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sample returns a result with a value in every field.
func sample() *Result {
	r := &Result{
		Load: Load{
			Address: "127.0.0.1:8889", Dialect: RESP3, Publishers: 2, Subscribers: 100, Topics: 3, Size: Range{64, 1024}, Pipeline: 16,
			Rate: 5000.5, Duration: 10 * time.Second, WarmUp: time.Second, InFlight: 4096, PID: 4711,
		},
		Published: 50_005, Deliveries: 5_000_500, Elapsed: 10*time.Second + 123*time.Millisecond,
		DeliveriesPerSecond: 494_023, BytesPerSecond: 268_748_512,
		P50: 61 * time.Microsecond, P90: 99 * time.Microsecond, P99: 1234 * time.Microsecond, P999: 45 * time.Millisecond,
		Max: 12 * time.Second, Samples: 5_000_500, LateP99: 17 * time.Microsecond, LateMax: 2 * time.Millisecond,
		Distribution: []Quantile{{50, 61 * time.Microsecond}, {99, 1234 * time.Microsecond}, {100, 12 * time.Second}},
		CPU:          2 * time.Second, CPUPerDelivery: 400, Memory: 12_345_678, PeakMemory: 23_456_789,
		Timeline: []Point{{0.1, 490_000, 60 * time.Microsecond, time.Millisecond}, {0.2, 0, 0, 0}},
	}
	return r
}

// golden compares text with a file in testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644)) // it is part of the source
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), text)
}

func TestTable(t *testing.T) {
	flooded := sample()
	flooded.Rate, flooded.ProcessNote, flooded.Lost = 0, "there is no process 4711 on this machine", 3
	flooded.CompareTo(500_000)
	plain := sample()
	plain.PID, plain.Rate, plain.BaselineNote = 0, 0, "not measured"
	var b strings.Builder
	for _, r := range []*Result{sample(), flooded, plain} {
		require.NoError(t, r.WriteTable(&b))
		b.WriteString("\n")
	}
	golden(t, "table.txt", b.String())
}

func TestJSON(t *testing.T) {
	var b, indented bytes.Buffer
	require.NoError(t, sample().WriteJSON(&b))
	assert.Equal(t, 1, bytes.Count(b.Bytes(), []byte("\n")))
	require.NoError(t, json.Indent(&indented, b.Bytes(), "", "\t"))
	golden(t, "result.json", indented.String())

	var back Result
	require.NoError(t, json.Unmarshal(b.Bytes(), &back))
	assert.Equal(t, sample(), &back)
}

func TestLimitedByTheGenerator(t *testing.T) {
	for baseline, want := range map[float64]bool{0: false, 400_000: true, 494_023: true, 548_000: true, 550_000: false, 5e6: false} {
		r := sample()
		r.CompareTo(baseline)
		assert.Equal(t, want, r.LimitedByGenerator, baseline)
		assert.InDelta(t, baseline, r.Baseline, 0)
	}
}

// The page is one file without references to others.
func TestPage(t *testing.T) {
	r := sample()
	r.Address = `127.0.0.1:1</title><script>alert("x")</script>`
	var b strings.Builder
	require.NoError(t, r.WritePage(&b))
	page := b.String()
	assert.NotRegexp(t, `(?i)(src|href)=|url\(|@import|fetch\(`, page)
	assert.NotContains(t, page, "<script>alert")
	assert.Contains(t, page, "uPlot=function")
	assert.Contains(t, page, `"percentiles":[{"x":2,"us":61},{"x":100`)
	assert.Contains(t, page, r.Words()[:40])
	assert.NotContains(t, page, "ZgotmplZ")

	require.NoError(t, (&Result{Load: r.Load, Lost: 7}).WritePage(&b)) // with nothing to draw
	assert.Contains(t, b.String(), "7 deliveries were lost")
}

func TestProgress(t *testing.T) {
	var b strings.Builder
	watch := NewProgress(&b, false).Watch("load")
	for i := range 31 {
		at := time.Duration(i) * 100 * time.Millisecond
		watch(Live{Elapsed: at, Of: 3 * time.Second, WarmUp: at < 1500*time.Millisecond, PublishedPerSecond: 1234, DeliveriesPerSecond: 123_456_789})
	}
	assert.Equal(t, "load, warm-up: 1234/s published, 123 M/s delivered (1 of 3 s)\n"+
		"load: 1234/s published, 123 M/s delivered (2 of 3 s)\n"+
		"load: 1234/s published, 123 M/s delivered (3 of 3 s)\n", b.String())

	b.Reset()
	bar := NewProgress(&b, true)
	bar.Watch("load")(Live{Elapsed: time.Second, Of: 2 * time.Second, DeliveriesPerSecond: 5})
	bar.End()
	bar.End()
	assert.Contains(t, b.String(), "50%")
	assert.Contains(t, b.String(), "5/s delivered")
}

func TestWords(t *testing.T) {
	for want, v := range map[string]float64{"0": 0, "999": 999, "99900": 99_900, "100 k": 100_000, "1 M": 1e6, "12.3 M": 12.34e6, "1.5 G": 1.5e9} {
		assert.Equal(t, want, formatNumber(v))
	}
	for want, v := range map[string]float64{"0.0 B": 0, "1.0 KiB": 1024, "1.5 MiB": 3 << 19, "1.0 GiB": 1 << 30} {
		assert.Equal(t, want, formatBytes(v))
	}
}
