package local

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// Entries that need several pieces come whole and in order, from several streams, with headers and without; the sink may end while a piece
// waits for it.
func TestEntriesComeInPieces(t *testing.T) {
	p := start(t, server.Options{})
	large := strings.Repeat("x", 600<<10)
	var want []string
	add := func(stream string, fields ...string) { p.do("", append([]string{"XADD", stream, "*"}, fields...)...) }
	for i := range 1200 {
		text := fmt.Sprint(i)
		if i%400 < 3 {
			text += large
		}
		add("d1", "message", text, "n", fmt.Sprint(i))
		want = append(want, fmt.Sprintf("d1 %s n=%d", text, i))
	}
	add("d2", "a", "1", "b", "x")
	add("d3", "message", "")
	o := p.sink("d*", "")
	first := p.take(o, 400)
	o.Close()
	got := append(first, p.take(p.sink("d*", ""), 802)...)
	var d1, others []string
	for _, text := range got {
		text, _, _ = strings.Cut(text, " (1)") // read before, and not passed on
		if strings.HasPrefix(text, "d1 ") {
			d1 = append(d1, text)
		} else {
			others = append(others, text)
		}
	}
	assert.True(t, assert.ObjectsAreEqual(want, d1), "%d entries of d1", len(d1)) // a difference would be megabytes
	assert.ElementsMatch(t, []string{`d2 {"a":1,"b":"x"}`, "d3 "}, others)
}

// What is done is acknowledged although the connection for that ends meanwhile, and before Close returns.
func TestAcknowledgementsAreTriedAgain(t *testing.T) {
	p := start(t, server.Options{})
	p.publish("d1", 1, 600)
	o := p.sink("d1", "")
	p.take(o, 1)
	none := func(want int) func() bool {
		return func() bool { return pending(p) == want }
	}
	harness.Eventually(t, func() bool { return o.Counts().Pending < 600 }, "an acknowledgement")
	acks := o.(*outlet).acks.conn
	acks.Interrupt()
	p.take(o, 299)
	harness.Eventually(t, none(300), "the rest is pending")
	_, deliveries := p.read(o, 300)
	for _, d := range deliveries {
		require.NoError(t, o.Done(t.Context(), d))
	}
	o.Close()
	assert.Zero(t, pending(p))
	assert.Equal(t, connect.OutletCounts{Matched: 600}, o.Counts())
}

// pending are the entries of d1 that are pending in the group.
func pending(p *place) int {
	p.client.Command("XPENDING", "d1", "connect:out")
	frame, err := p.client.Frame()
	require.NoError(p.t, err)
	var n int
	_, err = fmt.Sscanf(string(frame), "*4\r\n:%d", &n)
	require.NoError(p.t, err)
	return n
}
