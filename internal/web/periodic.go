package web

import (
	"net/http"
	"strings"
	"time"
)

// once answers with what a command shows now; as server-sent events, once a period. show makes
// the JSON value of a reply.
func (x *exchange) once(args []string, show func(reply any) any) error {
	c, err := x.open()
	if err != nil {
		return err
	}
	x.shown = c
	reply, err := c.do(args...)
	if err != nil {
		return err
	}
	if !x.wantsEvents() {
		return x.json(show(reply))
	}
	x.begin(http.StatusOK, "text/event-stream")
	tick := time.NewTicker(x.server.options.period())
	defer tick.Stop()
	for {
		if err := x.writeEvent(show(reply)); err != nil {
			return nil //nolint:nilerr // the client is gone, and gets no answer
		}
		select {
		case <-x.request.Context().Done():
			return nil
		case <-c.ended.Done():
			return nil // the end of the stream is the answer
		case <-tick.C:
		}
		if reply, err = c.do(args...); err != nil {
			return nil //nolint:nilerr // as above: its rights have changed
		}
	}
}

// wantsEvents reports whether the client prefers server-sent events.
func (x *exchange) wantsEvents() bool {
	return x.request.Method == http.MethodGet && strings.Contains(x.request.Header.Get("Accept"), "text/event-stream")
}

// writeEvent writes one event whose data is a JSON value, at once.
func (x *exchange) writeEvent(value any) error {
	text, err := encode(value)
	if err != nil {
		return err
	}
	c := x.shown
	defer x.interruptWrites(c)()
	c.replies.size, c.answer = 0, cap(text)
	c.charge()
	x.extendWrite()
	if _, err := x.writer.Write(append(append([]byte("data: "), text...), "\n\n"...)); err != nil {
		return err //nolint:wrapcheck // the caller needs only whether it failed
	}
	err = x.control.Flush()
	x.pauseWrite()
	return err //nolint:wrapcheck // the same
}
