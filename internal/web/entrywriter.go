package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/conchmq/conch/internal/entry"
	"github.com/conchmq/conch/protocol"
)

// entryForm is how an answer has entries.
type entryForm uint8

const (
	entryLines   entryForm = iota // an object in each line
	entryObject                   // one object with all of them
	entryEvents                   // server-sent events, with the message as data
	objectEvents                  // the same with an object as data
)

// entryForm is the form that the client prefers. Events need positions, so only some answers have them.
func (x *exchange) entryForm(events bool) (entryForm, error) {
	format := x.request.URL.Query().Get("format")
	if format != "" && format != "json" {
		return 0, wrongValue("format", format)
	}
	accept := x.request.Header.Get("Accept")
	switch {
	case events && x.wantsEvents() && format == "json":
		return objectEvents, nil
	case events && x.wantsEvents():
		return entryEvents, nil
	case strings.Contains(accept, "application/json") || format == "json":
		return entryObject, nil
	}
	return entryLines, nil
}

// readEntry is an entry, as a reply has it.
type readEntry struct {
	stream, id []byte
	epoch      string // empty if the position is not known
	sequence   uint64
	texts      [][]byte // names and values in turn
	deleted    bool     // it is pending, and has no fields any more
	// claims: idle is how many milliseconds it was pending before, deliveries how often it was delivered.
	claims           bool
	idle, deliveries int64
}

// entryWriter writes an answer of entries, piece by piece. What it holds counts for the connection of the replies. It belongs
// to the handler.
type entryWriter struct {
	x       *exchange
	c       *conn
	form    entryForm
	buf     []byte
	message entry.Message
	rows    int
}

// newEntryWriter makes the writer of an answer whose entries come over c, which the exchange shows. The caller calls stop before
// the handler returns.
func (x *exchange) newEntryWriter(c *conn, form entryForm) (w *entryWriter, stop func()) {
	return &entryWriter{x: x, c: c, form: form}, x.interruptWrites(c)
}

// begin writes the header of the answer.
func (w *entryWriter) begin() {
	switch w.form {
	case entryLines:
		w.x.begin(http.StatusOK, ndjson)
	case entryObject:
		w.x.begin(http.StatusOK, "application/json")
		w.buf = append(w.buf, `{"entries":[`...)
	default:
		w.x.writer.Header().Set("X-Accel-Buffering", "no") // of proxies
		w.x.begin(http.StatusOK, "text/event-stream; charset=utf-8")
	}
}

// entry adds an entry, and writes when a piece is full.
func (w *entryWriter) entry(e *readEntry) error {
	w.message.ResetTexts(e.texts)
	w.charge(2 * w.message.Size()) // before it is encoded
	switch w.form {
	case entryEvents:
		encoding := protocol.EventEncoding(w.message.Payload())
		w.buf = protocol.AppendEventHead(w.buf, e.epoch, e.sequence, encoding)
		w.buf = protocol.AppendEventTail(encoding.Append(w.buf, w.message.Payload()))
	case objectEvents:
		w.buf = protocol.AppendEventHead(w.buf, e.epoch, e.sequence, protocol.Verbatim)
		w.buf = protocol.AppendEventTail(w.object(w.buf, e))
	case entryObject:
		if w.rows > 0 {
			w.buf = append(w.buf, ',')
		}
		w.buf = w.object(w.buf, e)
	default:
		w.buf = append(w.object(w.buf, e), '\n')
	}
	if w.rows++; len(w.buf) < pieceSize {
		return nil
	}
	return w.write()
}

// object appends an entry as a JSON object.
func (w *entryWriter) object(b []byte, e *readEntry) []byte {
	b = protocol.AppendTextField(append(b, `{"event":"entry"`...), "stream", e.stream)
	b = protocol.AppendTextField(b, "id", e.id)
	if e.epoch != "" {
		b = protocol.AppendSequenceFields(b, e.epoch, e.sequence)
	}
	if e.claims {
		b = strconv.AppendInt(append(b, `,"idle":`...), e.idle, 10)
		b = strconv.AppendInt(append(b, `,"deliveries":`...), e.deliveries, 10)
	}
	if e.deleted {
		return append(b, `,"deleted":true}`...)
	}
	if w.message.IsWhole() {
		b = protocol.AppendTextField(b, "payload", w.message.Payload())
		if w.message.HasHeaders() {
			b = w.message.AppendHeaders(append(b, `,"headers":`...))
		}
	} else {
		b = w.message.AppendPayload(append(b, `,"fields":`...))
	}
	return append(b, '}')
}

// seen tells the client of an event stream how far entries have been looked at: it fires nothing.
func (w *entryWriter) seen(next place) error {
	if w.form == entryEvents || w.form == objectEvents {
		w.buf = protocol.AppendEventID(w.buf, next.epoch, next.before())
	}
	return w.flush()
}

// end ends the answer with the position to go on from.
func (w *entryWriter) end(next place, more bool) error {
	if w.form == entryLines || w.form == entryObject {
		return w.endPage(next.String(), more)
	}
	w.buf = protocol.AppendEventID(w.buf, next.epoch, next.before())
	w.buf = protocol.AppendNamedEvent(w.buf, "end", append([]byte("{"), endOf(next.String(), more)...))
	return w.flush()
}

// endPage ends an answer that is no event stream with the place to go on from.
func (w *entryWriter) endPage(next string, more bool) error {
	if w.form == entryLines {
		w.buf = append(append(w.buf, `{"event":"end",`...), endOf(next, more)...)
	} else {
		w.buf = append(append(w.buf, `],`...), endOf(next, more)...)
	}
	w.buf = append(w.buf, '\n')
	return w.flush()
}

// endOf is the rest of an object about the end of a page.
func endOf(next string, more bool) []byte {
	rest := append(strconv.AppendQuote([]byte(`"next":`), next), `,"more":`...)
	return append(strconv.AppendBool(rest, more), '}')
}

// endRows ends an answer that has no page behind it.
func (w *entryWriter) endRows() error {
	if w.form == entryObject {
		w.buf = append(w.buf, "]}\n"...)
	}
	return w.flush()
}

// flush writes what there is, for the client to see it now.
func (w *entryWriter) flush() error {
	if err := w.write(); err != nil {
		return err
	}
	err := w.x.control.Flush()
	w.x.pauseWrite()
	return err //nolint:wrapcheck // the client is gone
}

// write writes what there is. The client has to take each piece within slow-time.
func (w *entryWriter) write() error {
	w.charge(0)
	for b := w.buf; len(b) > 0; {
		w.x.extendWrite()
		n, err := w.x.writer.Write(b[:min(len(b), pieceSize)])
		if b = b[n:]; err != nil {
			return err //nolint:wrapcheck // the client is gone
		}
	}
	if w.buf = w.buf[:0]; cap(w.buf) > 4*pieceSize {
		w.buf = nil
	}
	w.charge(0)
	return nil
}

// charge counts what the writer holds, and more bytes that are about to come.
func (w *entryWriter) charge(more int) {
	w.c.answer = cap(w.buf) + more
	w.c.charge()
}
