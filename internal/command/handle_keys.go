package command

import (
	"strings"

	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// errNoSuchKey is Redis' text.
var errNoSuchKey = protocol.Errorf("no such key")

// key is the stream of that name, nil if there is none. It is not kept: the next change may
// remove it.
func (w *response) key(name []byte) *stream.Stream { return w.streams().Lookup(name) }

// total replies with a number. A command in pieces gets one reply: the sum of all.
func (w *response) total(n int) {
	if long := w.inv.long; long != nil {
		long.total += n
		if !w.inv.isLast() {
			return
		}
		n = long.total
	}
	w.integer(int64(n))
}

// del is DEL and UNLINK. What a stream holds is freed in the background either way.
func del(w *response) {
	n := 0
	for _, name := range w.inv.args[1:] {
		if s := w.key(name); s != nil {
			c := w.change()
			w.streams().PlanRemove(c, s)
			w.apply(c)
			n++
		}
	}
	w.total(n)
}

// exists is EXISTS and TOUCH: a key counts as often as it is named.
func exists(w *response) {
	n := 0
	for _, name := range w.inv.args[1:] {
		if w.key(name) != nil {
			n++
		}
	}
	w.total(n)
}

func keyType(w *response) {
	if w.key(w.inv.args[1]) == nil {
		w.simple("none")
		return
	}
	w.simple("stream")
}

// objectEncoding is OBJECT ENCODING. Redis' word for any stream is stream.
func objectEncoding(w *response) {
	if w.key(w.inv.args[2]) == nil {
		w.null()
		return
	}
	w.text("stream")
}

// keyUsage is MEMORY USAGE key [SAMPLES count]: about what the entries of a stream take. Nothing is sampled: all entries are counted.
func keyUsage(w *response) {
	args := w.inv.args[3:]
	samples := len(args) == 2 && strings.EqualFold(string(args[0]), "SAMPLES")
	if len(args) > 0 && !samples {
		w.fail(protocol.Errorf("syntax error"))
		return
	}
	if samples {
		if n, ok := protocol.ParseInt(args[1]); !ok || n < 0 {
			w.fail(protocol.Errorf("value is not an integer or out of range"))
			return
		}
	}
	st := w.key(w.inv.args[2])
	if st == nil {
		w.null()
		return
	}
	w.integer(int64(st.Bytes())) //nolint:gosec // far below
}

func dbsize(w *response) { w.integer(int64(w.streams().Len())) }

// flush is FLUSHALL and FLUSHDB: there is one database with keys.
func flush(w *response) {
	if err := keyargs.Flush(w.inv.args); err != nil {
		w.fail(err)
		return
	}
	if c := w.change(); w.streams().PlanFlush(c) {
		w.apply(c)
	}
	w.ok()
}
