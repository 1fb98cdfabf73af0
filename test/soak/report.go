package soak

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// row is a line of the table. Those that are promised must not be 0 at the end; those that are forbidden must be.
type row struct {
	name                string
	promised, forbidden bool
}

// The rows that several places count for.
const (
	rowConns        = "connections made"
	rowPublished    = "messages acknowledged"
	rowDelivered    = "messages delivered"
	rowReported     = "messages lost and told of in their place"
	rowCounted      = "messages lost and counted, where RESP2 cannot tell"
	rowUndelivered  = "messages lost with a connection that ended"
	rowPredicates   = "subscribers with a predicate"
	rowUsers        = "subscribers and publishers that are users with few rights"
	rowDenied       = "messages refused to such users"
	rowRevoked      = "subscribers that lost their user, their right or their token"
	rowUnix         = "connections over the Unix socket"
	rowEvents       = "browsers' connections: server-sent events, HTTP/1.1"
	rowEventsTwo    = "browsers' connections: server-sent events, HTTP/2"
	rowSocketLines  = "browsers' connections: WebSocket, conch.lines"
	rowSocketJSON   = "browsers' connections: WebSocket, conch.json"
	rowPosted       = "messages acknowledged to POST"
	rowMany         = "messages acknowledged to POST of NDJSON"
	rowCut          = "fault: streams cut, and resumed by their last id"
	rowFrom         = "fault: subscriptions cut, and resumed by FROM"
	rowGone         = "resumed, and told that messages are no longer kept"
	rowEpoch        = "resumed after a restart, and told that messages are missing"
	rowParted       = "subscribers told why they are disconnected"
	rowUnaccounted  = "messages unaccounted for"
	rowViolations   = "order violations"
	rowRounds       = "rounds of the order check"
	rowBad          = "bad inputs sent"
	rowBadTLS       = "bad inputs sent over TLS"
	rowSilent       = "fault: connections that say nothing"
	rowDribble      = "fault: bytes sent one a second"
	rowReset        = "fault: resets in the middle of a frame"
	rowVanished     = "fault: peers vanished without FIN"
	rowHoarders     = "fault: subscribers to 5,000 topics that never read"
	rowStorm        = "fault: connections of reconnect storms"
	rowClients      = "runs of redis-cli and nc through the proxy"
	rowPartition    = "fault: partitions by link-down"
	rowDescriptors  = "fault: descriptors exhausted"
	rowKilled       = "fault: SIGKILL and restart"
	rowTerminated   = "fault: SIGTERM and restart"
	rowStopped      = "fault: process stopped, so that its clocks jump"
	rowStoppedLong  = "fault: process stopped for longer than slow-time"
	rowWallClock    = "fault: jump of the wall clock"
	rowReturned     = "clients that came back after a restart"
	rowAccount      = "account: matched - delivered - dropped - undelivered"
	rowPeak         = "peak memory of the server, MiB"
	rowStall        = "longest stall: a PING on an idle connection, ms"
	rowStallP99     = "99 of 100 of these PINGs within, ms"
	rowAttackPrefix = "attacks of point "
	rowGoroutines   = "goroutines at the end"
	rowProxyPrefix  = "fault: proxy, connections with "
	rowEndedBySlow  = "connections that the server ended as too slow"
	rowAcceptPauses = "pauses of accepting, without descriptors"
)

// rows is the table, from top to bottom. proxied are the kinds of faults of the proxy.
// points are those of attacks.
func rows(proxied, points []string) []row {
	all := []row{
		{rowConns, true, false}, {rowRounds, true, false}, {rowPublished, true, false}, {rowDelivered, true, false},
		{rowReported, false, false}, {rowCounted, false, false}, {rowUndelivered, false, false}, {rowParted, false, false},
		{rowEndedBySlow, true, false}, {rowPredicates, true, false}, {rowUsers, true, false}, {rowDenied, true, false},
		{rowRevoked, true, false}, {rowUnix, true, false},
		{rowEvents, true, false}, {rowEventsTwo, true, false}, {rowSocketLines, true, false}, {rowSocketJSON, true, false},
		{rowPosted, true, false}, {rowMany, true, false}, {rowCut, true, false}, {rowFrom, true, false}, {rowGone, true, false}, {rowEpoch, true, false},
		{rowBad, true, false}, {rowBadTLS, true, false}, {rowClients, true, false},
	}
	for _, kind := range proxied {
		all = append(all, row{rowProxyPrefix + kind, true, false})
	}
	for _, point := range points {
		all = append(all, row{rowAttackPrefix + point, true, false})
	}
	return append(all,
		row{rowSilent, true, false}, row{rowDribble, true, false}, row{rowReset, true, false}, row{rowVanished, true, false},
		row{rowHoarders, true, false}, row{rowStorm, true, false}, row{rowPartition, true, false},
		row{rowDescriptors, true, false}, row{rowAcceptPauses, true, false}, row{rowStopped, true, false}, row{rowStoppedLong, true, false},
		row{rowWallClock, true, false},
		row{rowKilled, true, false}, row{rowTerminated, true, false}, row{rowReturned, true, false},
		row{rowStall, true, false}, row{rowStallP99, false, false}, row{rowPeak, true, false}, row{rowGoroutines, true, false},
		row{rowAccount, false, true}, row{rowUnaccounted, false, true}, row{rowViolations, false, true})
}

// report counts what happens. Any goroutine may use it.
type report struct {
	rows []row

	mu       sync.Mutex
	counts   map[string]int64
	excuses  map[string]string // why a row has no figure
	failures []string
}

func newReport(rows []row) *report {
	return &report{rows: rows, counts: make(map[string]int64), excuses: make(map[string]string)}
}

func (r *report) add(name string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[name] += n
}

// most keeps the largest figure.
func (r *report) most(name string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[name] = max(r.counts[name], n)
}

// skip says in the table why there is no figure. What was promised is then not missed.
func (r *report) skip(name, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.excuses[name] = why
}

// maxFailures are shown; a broken server would fill the screen.
const maxFailures = 20

// fail adds one line to what is wrong.
func (r *report) fail(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failures) < maxFailures {
		r.failures = append(r.failures, fmt.Sprintf(format, args...))
	}
}

// write prints the table, and tells what is wrong: what failed on the way, what was promised and did not happen, what must
// not have happened.
func (r *report) write(w io.Writer, title string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	wrong := r.failures
	width := 0
	for _, row := range r.rows {
		width = max(width, len(row.name))
	}
	fmt.Fprintf(w, "\n%s\n%s\n", title, strings.Repeat("-", width+12))
	for _, row := range r.rows {
		n := r.counts[row.name]
		value := fmt.Sprint(n)
		excuse, excused := r.excuses[row.name]
		switch {
		case excused && n == 0:
			value = excuse
		case excused:
			value += " (" + excuse + ")"
		case row.promised && n == 0:
			wrong = append(wrong, "nothing of what was promised: "+row.name)
		}
		if row.forbidden && n != 0 {
			wrong = append(wrong, fmt.Sprintf("%s: %d, and it must be 0", row.name, n))
		}
		fmt.Fprintf(w, "%-*s  %10s\n", width, row.name, value)
	}
	fmt.Fprintln(w)
	return wrong
}
