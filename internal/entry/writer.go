package entry

import "github.com/conchmq/conch/protocol"

// writer appends JSON to dst, or only counts its bytes.
type writer struct {
	dst    []byte
	counts bool
	n      int
}

func (w *writer) raw(text string) {
	if w.counts {
		w.n += len(text)
	} else {
		w.dst = append(w.dst, text...)
	}
}

// text writes a string.
func (w *writer) text(b []byte) { w.quote(protocol.JSONEscaped, b) }

func (w *writer) quote(e protocol.Encoding, b []byte) {
	w.raw(`"`)
	w.encode(e, b)
	w.raw(`"`)
}

func (w *writer) encode(e protocol.Encoding, b []byte) {
	if w.counts {
		w.n += e.Len(b)
	} else {
		w.dst = e.Append(w.dst, b)
	}
}

func (w *writer) value(m *member) {
	switch m.form {
	case formNumber:
		w.encode(protocol.Verbatim, m.value)
	case formBase64:
		w.quote(protocol.Base64, m.value)
	default:
		w.text(m.value)
	}
}
