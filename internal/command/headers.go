package command

import (
	"bytes"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/entry"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/stream"
)

// headers are what an entry has besides its message, for receivers that read JSON. They are encoded once for all of these, and only
// if there is one. The core has some for the entry that it delivers, and each feeder has some.
type headers struct {
	entry   entry.Message
	json    []byte
	isLarge bool
}

// resetTexts makes them those of names and values in turn.
func (h *headers) resetTexts(texts [][]byte) {
	h.entry.ResetTexts(texts)
	h.clear()
}

// reset makes them those of a stored entry.
func (h *headers) reset(f stream.Fields) {
	h.entry.Reset(f)
	h.clear()
}

func (h *headers) clear() {
	if h.json, h.isLarge = h.json[:0], false; cap(h.json) > outbox.LargePayload {
		h.json = nil
	}
}

// attach gives a message its headers, if there are some. With large ones it is a large message: no pattern gets a copy of them.
func (h *headers) attach(m *broker.Message, texts [][]byte) {
	if !h.entry.HasHeaders() {
		return
	}
	m.Headers = h
	payload, size := m.Payloads[0], 0
	for _, text := range texts {
		size += len(text)
	}
	h.isLarge = size-len(payload) >= outbox.LargePayload
	if h.isLarge && len(payload) < outbox.LargePayload {
		m.Payloads[0], m.Tag = bytes.Clone(payload), nil // frames keep the payload, and need not keep the whole command
	}
}

// encode returns the JSON object of all headers.
func (h *headers) encode() []byte {
	if len(h.json) == 0 {
		h.json = h.entry.AppendHeaders(h.json)
	}
	return h.json
}

// headersIn returns the headers of a message, as a format has them; nil for none.
func headersIn(f outbox.Format, m *broker.Message) []byte {
	if h, ok := m.Headers.(*headers); ok && f.HasHeaders() {
		return h.encode()
	}
	return nil
}

// hasLargeHeaders reports whether the headers of a message are large.
func hasLargeHeaders(m *broker.Message) bool {
	h, ok := m.Headers.(*headers)
	return ok && h.isLarge
}
