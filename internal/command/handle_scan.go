package command

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

const (
	// maxScanned bounds the keys that one SCAN, or one step of KEYS, looks at: every other
	// connection waits meanwhile.
	maxScanned = 1000
	// maxKeysInExec bounds those of a KEYS in EXEC, which cannot come in steps.
	maxKeysInExec = 100_000
)

// scan is SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]. A key that exists throughout
// comes exactly once, in the order in which keys were made.
func scan(w *response) {
	var x keyargs.Scan
	if err := x.Parse(w.inv.args); err != nil {
		w.fail(err)
		return
	}
	var names []string
	cursor, bytes := uint64(0), 0
	// All keys are streams: there is nothing to look for under another type.
	if x.Type == nil || strings.EqualFold(string(x.Type), "stream") {
		all, g := x.Match == nil || string(x.Match) == "*", newGlob(string(x.Match)) // the glob does not match an empty name
		cursor = w.streams().Scan(x.Cursor, int(min(x.Count, maxScanned)), func(s *stream.Stream) {
			w.work += workPerName
			if all || g.matches(s.Name()) {
				names = append(names, s.Name())
				bytes += len(s.Name()) + bulkBytes
			}
		})
		w.work += g.work()
		err := g.err()
		if bytes > maxAnswer {
			err = errLargeAnswer
		}
		if err != nil {
			w.fail(err)
			return
		}
	}
	w.array(2)
	w.text(strconv.FormatUint(cursor, 10))
	w.texts(names)
}

// keySearch is the state of a KEYS between two of its steps. It belongs to the core's goroutine.
type keySearch struct {
	cursor uint64
	found  int
	// names are those found so far, encoded: a piece for each step, so that the reply is neither copied nor allocated at once. size
	// is their length, buf where a step encodes them.
	names [][]byte
	size  int
	buf   []byte
}

// keys is KEYS pattern, in steps of maxScanned keys with other connections' batches between them.
// A key that exists throughout comes exactly once.
func keys(w *response) {
	if w.executor.inExec() {
		w.keysInExec()
		return
	}
	if w.inv.long == nil {
		w.inv.long = &longCommand{search: new(keySearch)}
	}
	w.inv.long.search.step(w, maxScanned)
}

// keysInExec is KEYS in EXEC: one instant.
func (w *response) keysInExec() {
	if w.streams().Len() > maxKeysInExec {
		w.fail(protocol.Errorf("KEYS over more than %d keys is not possible inside a transaction: use SCAN", maxKeysInExec))
		return
	}
	new(keySearch).step(w, maxKeysInExec+1)
}

// step looks at the next keys, and replies if these were the last.
func (k *keySearch) step(w *response, count int) {
	text := string(w.inv.args[1])
	all, g := text == "*", newGlob(text)
	k.buf = k.buf[:0]
	k.cursor = w.streams().Scan(k.cursor, count, func(s *stream.Stream) {
		w.work += workPerName
		if name := s.Name(); k.size+len(k.buf) <= maxAnswer && (all || g.matches(name)) {
			k.found++
			k.buf = protocol.AppendBulkString(k.buf, name)
		}
	})
	if len(k.buf) > 0 {
		k.names = append(k.names, bytes.Clone(k.buf))
		k.size += len(k.buf)
	}
	w.work += g.work()
	err := g.err()
	if k.size > maxAnswer {
		err = errLargeAnswer
	}
	if err != nil {
		k.cursor = 0
	}
	held := 0 // by the next step
	if k.cursor != 0 {
		held = k.size + cap(k.buf)
	}
	w.executor.service.memory.SetUsage(&w.executor.usesStreams().usage.blocked, held)
	switch {
	case err != nil:
		w.fail(err)
	case k.cursor == 0:
		w.array(k.found)
		w.addNames(k.names)
	}
}

// addNames adds what KEYS has found to its reply.
func (w *response) addNames(names [][]byte) {
	if w.executor.inExec() || w.executor.isPresented() { // the reply cannot be divided
		w.buf = append(w.buf, bytes.Join(names, nil)...)
		return
	}
	w.more = names
}
