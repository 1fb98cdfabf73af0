package web

import (
	"bytes"
	"fmt"

	"github.com/gobwas/ws"
)

// frameDecoder takes the payload of a client's text messages out of its frames: RFC 6455, section
// 5. It holds no bytes of a message, so an announced length costs nothing. The reader goroutine of
// its stream owns it.
type frameDecoder struct {
	// objects means that a message is one JSON object, in one line. Otherwise it is lines.
	objects bool
	// most bounds a line: more bytes end the connection.
	most int64
	line int64 // bytes of the line so far

	head     [ws.MaxHeaderSize]byte
	headLen  int       // bytes of an incomplete header
	frame    ws.Header // the current one
	left     int64     // bytes of it to come
	masked   int       // bytes of it that have come
	open     bool      // within a frame
	inText   bool      // within a message of several frames
	utf8     utf8Check
	control  []byte // payload of a control frame
	pong     []byte // payload of the last ping that is not replied to yet; nil for none
	closedBy *closure
}

// closure is why a WebSocket ends, and the status of its close frame.
type closure struct {
	code   ws.StatusCode
	reason string
}

func (c *closure) Error() string { return fmt.Sprintf("closed with %d: %s", c.code, c.reason) }

// decode decodes the bytes of b from at on, and moves what they hold to its start: lines, each
// ended by a line feed. at must be 1 at least: a frame has a header of six bytes, and adds one line
// feed, but its header may have come before.
//
// After an error, or the close frame of the client, nothing more is decoded.
func (d *frameDecoder) decode(b []byte, at int) (n int, err error) {
	for at < len(b) && d.closedBy == nil {
		if !d.open {
			if at, err = d.header(b, at); err != nil {
				return n, err
			}
			if !d.open {
				break // more of the header is to come
			}
		}
		piece := b[at:min(int64(len(b)), int64(at)+d.left)]
		at += len(piece)
		ws.Cipher(piece, d.frame.Mask, d.masked)
		d.masked, d.left = d.masked+len(piece), d.left-int64(len(piece))
		if d.frame.OpCode.IsControl() {
			d.control = append(d.control, piece...)
		} else {
			if err := d.check(piece); err != nil {
				return n, err
			}
			n += copy(b[n:], piece)
		}
		if d.left > 0 {
			break
		}
		d.open = false
		if d.frame.OpCode.IsControl() {
			err = d.endControl()
		} else if d.frame.Fin {
			b[n] = '\n'
			n++
			err = d.endMessage()
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// header reads a header, which may come in pieces, and checks it.
func (d *frameDecoder) header(b []byte, at int) (int, error) {
	for d.headLen < ws.MinHeaderSize || d.headLen < headerLen(d.head[1]) {
		if at == len(b) {
			return at, nil
		}
		d.head[d.headLen] = b[at]
		d.headLen, at = d.headLen+1, at+1
	}
	h, err := ws.ReadHeader(bytes.NewReader(d.head[:d.headLen]))
	if err != nil {
		return at, &closure{ws.StatusProtocolError, err.Error()}
	}
	d.headLen = 0
	state := ws.StateServerSide
	if d.inText {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return at, &closure{ws.StatusProtocolError, err.Error()}
	}
	if h.OpCode == ws.OpBinary {
		return at, &closure{ws.StatusUnsupportedData, "messages are text; send bytes in base64 (conch.json)"}
	}
	if !h.OpCode.IsControl() {
		d.inText = !h.Fin
		if d.line+h.Length > d.most && d.objects || h.Length > maxMessage {
			return at, d.tooBig()
		}
	}
	d.frame, d.left, d.masked, d.open = h, h.Length, 0, true
	return at, nil
}

// maxMessage bounds a message of many lines.
const maxMessage = 64 << 20

// headerLen is the length of a header, by its second byte.
func headerLen(second byte) int {
	n := ws.MinHeaderSize
	if second&0x80 != 0 {
		n += 4 // the mask
	}
	switch second & 0x7f {
	case 126:
		return n + 2
	case 127:
		return n + 8
	}
	return n
}

// check checks a piece of a message. In an object, line ends are blanks: it is one line.
func (d *frameDecoder) check(piece []byte) error {
	if !d.utf8.accepts(piece) {
		return &closure{ws.StatusInvalidFramePayloadData, "a text message must be UTF-8"}
	}
	if d.objects {
		for i, c := range piece {
			if c == '\n' || c == '\r' {
				piece[i] = ' '
			}
		}
	}
	d.line += int64(len(piece))
	if i := bytes.LastIndexByte(piece, '\n'); i >= 0 {
		d.line = int64(len(piece) - i - 1)
	}
	if d.line > d.most {
		return d.tooBig()
	}
	return nil
}

func (d *frameDecoder) tooBig() error {
	text := fmt.Sprintf("a line has at most %d bytes (--max-line)", d.most)
	if d.objects {
		text = fmt.Sprintf("a request has at most %d bytes (--max-command)", d.most)
	}
	return &closure{ws.StatusMessageTooBig, text}
}

// endMessage ends a text message.
func (d *frameDecoder) endMessage() error {
	d.line = 0
	if !d.utf8.isWhole() {
		return &closure{ws.StatusInvalidFramePayloadData, "a text message must be UTF-8"}
	}
	return nil
}

// endControl acts on a control frame. Of several pings the last one gets a pong.
func (d *frameDecoder) endControl() error {
	payload := d.control
	d.control = nil
	switch d.frame.OpCode {
	case ws.OpPing:
		d.pong = append(make([]byte, 0, len(payload)), payload...)
	case ws.OpClose:
		return d.endByClient(payload)
	}
	return nil
}

// endByClient notes the close frame of the client, which gets the same status back.
func (d *frameDecoder) endByClient(payload []byte) error {
	if len(payload) == 0 {
		d.closedBy = &closure{ws.StatusNormalClosure, ""}
		return nil
	}
	code, reason := ws.ParseCloseFrameData(payload)
	if err := ws.CheckCloseFrameData(code, reason); err != nil || len(payload) == 1 {
		return &closure{ws.StatusProtocolError, "a close frame with a wrong status"}
	}
	d.closedBy = &closure{code, ""}
	return nil
}
