package cli

import (
	"bufio"
	"fmt"
	"io"
	"strconv"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/protocol"
)

// outputFormat is how events are printed; by default as lines.
type outputFormat struct{ json, raw, sequences bool }

// printer prints events: messages to out, and what happens to the connection to notes.
type printer struct {
	outputFormat
	out   *bufio.Writer
	notes io.Writer // lines about the connection
	line  []byte    // reused
}

// print prints one event. Its error is that of out.
func (p *printer) print(e client.Event) error {
	p.line = p.line[:0]
	m, isMessage := e.(*client.Message)
	switch {
	case p.json:
		p.line = appendJSON(p.line, newEventJSON(e, p.sequences))
	case isMessage && p.raw:
		p.line = append(append(p.line, m.Payload...), '\n')
	case isMessage:
		p.line = p.appendLine(p.line, m)
	}
	if _, err := p.out.Write(p.line); err != nil {
		return err
	}
	if isMessage {
		return nil
	}
	err := p.out.Flush() // out and notes stay in order on a terminal
	_, _ = fmt.Fprintf(p.notes, "conch: sub: %s\n", protocol.EscapeMessage(nil, []byte(describeEvent(e))))
	return err
}

// appendLine appends a message as one line. Control bytes are escaped, so that a payload cannot forge a second line.
func (p *printer) appendLine(line []byte, m *client.Message) []byte {
	if p.sequences {
		line = append(strconv.AppendUint(append(line, '#'), m.Sequence, 10), ' ')
	}
	line = append(protocol.EscapeTopic(line, []byte(m.Topic)), ' ')
	return append(protocol.EscapeMessage(line, m.Payload), '\n')
}

// describeEvent is the text for an event that is not a message.
func describeEvent(e client.Event) string {
	switch e := e.(type) {
	case *client.Disconnected:
		return fmt.Sprintf("disconnected: %s; coming back", e.Err)
	case *client.Resumed:
		return fmt.Sprintf("reconnected; what was published behind sequence number %d follows", e.After)
	case *client.Reconnected:
		switch {
		case e.Epoch == "":
			return "reconnected; what was published meanwhile was missed"
		case !e.SameEpoch:
			return "reconnected, to a server that was started anew; what was published meanwhile was missed"
		case e.After == e.Before:
			return "reconnected; nothing was missed"
		}
		return fmt.Sprintf("reconnected; messages with a sequence number over %d, up to %d, may have been missed", e.After, e.Before)
	case *client.Missed:
		count := "messages"
		if e.Count > 0 {
			count = fmt.Sprintf("%d messages", e.Count)
		}
		return fmt.Sprintf("%s of %s are missing here: they were read too slowly, or are no longer kept", count, e.Name)
	}
	return fmt.Sprintf("%T", e)
}
