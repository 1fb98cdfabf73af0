package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/conchmq/conch/protocol"
)

// ConnectCommand is which clients may change connectors at run time.
type ConnectCommand string

// The values of enable-connect-command.
const (
	ConnectNo    ConnectCommand = "no"
	ConnectLocal ConnectCommand = "local" // clients of this machine
	ConnectYes   ConnectCommand = "yes"
)

// changeTime bounds a change of connectors: the end of one may wait for the other system.
const changeTime = 15 * time.Second

// SetConnectors gives the service the connectors of the process. It comes before clients do; without it there are none.
func (s *Service) SetConnectors(c Connectors) { s.connectors.Store(&c) }

// Connectors are the connectors at this moment. Any goroutine may call it.
func (s *Service) Connectors() []Connector {
	c := s.connectors.Load()
	if c == nil {
		return nil
	}
	all := (*c).List()
	for i := range all {
		all[i].Node = s.ConnectorNode()
	}
	return all
}

// mayChangeConnectors returns the connectors for a client that may change them; else it has replied with an error.
func (w *response) mayChangeConnectors() Connectors {
	s := w.executor.service
	remote, _ := w.executor.transport.Addresses()
	switch allowed := s.options.ConnectCommand; {
	case allowed == ConnectYes:
	case allowed == ConnectLocal && remote.isLocal():
	case allowed == ConnectLocal:
		w.fail(protocol.Errorf("%s is for clients of this machine: start conch with --enable-connect-command yes, or use the config file", w.verb()))
		return nil
	default:
		w.fail(protocol.Errorf("%s is off: start conch with --enable-connect-command local, or yes, or use the config file", w.verb()))
		return nil
	}
	c := s.connectors.Load()
	if c == nil {
		w.fail(protocol.Errorf("connectors are not available here"))
		return nil
	}
	return *c
}

// verb is the command as it is typed.
func (w *response) verb() string {
	return strings.ToUpper(strings.ReplaceAll(w.inv.row.FullName(), "|", " "))
}

// changeConnectors has the reader change connectors, and replies with OK and the name.
func (w *response) changeConnectors(name string, change func(context.Context) error) {
	isTyped, crlf, verb := w.isTyped(), w.inv.crlf, w.verb() // the reply comes without them
	w.deferToReader(func() func(*response) {
		ctx, cancel := context.WithTimeout(context.Background(), changeTime)
		defer cancel()
		err := change(ctx)
		return func(w *response) {
			switch {
			case errors.Is(err, ErrNoConnector):
				w.fail(protocol.Errorf("%s: there is none of that name", verb))
			case err != nil:
				w.fail(protocol.Errorf("%s", oneLine(err.Error())))
			case isTyped:
				w.buf = protocol.AppendLineEnd(protocol.EscapeMessage(append(w.buf, "OK "...), []byte(verb+" "+name)), crlf)
			default:
				w.ok()
			}
		}
	})
}

// oneLine makes text of others one line.
func oneLine(text string) string { return string(protocol.EscapeMessage(nil, []byte(text))) }

// connectorAdd is SOURCE ADD and SINK ADD. A connector may reach all topics, so the user must.
func connectorAdd(d Direction) func(*response) {
	return func(w *response) {
		e, args := w.executor, w.inv.args
		if len(args)%2 != 0 {
			w.fail(protocol.Errorf("%s takes keys with a value each; type: %s", w.verb(), w.inv.row.Usage))
			return
		}
		c := w.mayChangeConnectors()
		if c == nil {
			return
		}
		if !e.unrestricted && !e.user.MaySubscribePattern([]byte("*")) {
			w.fail(&protocol.Error{Code: protocol.CodeNoPerm, Text: "a connector acts on all topics: its user needs the rights to all of them (allchannels)"})
			return
		}
		n := NewConnector{Direction: d, Name: string(args[2]), URL: string(args[3]), By: e.userName()}
		for i := 4; i < len(args); i += 2 {
			n.Options = append(n.Options, [2]string{string(args[i]), string(args[i+1])})
		}
		w.changeConnectors(n.Name, func(ctx context.Context) error { return c.Add(ctx, n) })
	}
}

// connectorDo is what takes a name alone.
func connectorDo(d Direction, do func(Connectors, context.Context, Direction, string) error) func(*response) {
	return func(w *response) {
		if c := w.mayChangeConnectors(); c != nil {
			name := string(w.inv.args[2])
			w.changeConnectors(name, func(ctx context.Context) error { return do(c, ctx, d, name) })
		}
	}
}

// connectorList is SOURCE LIST and SINK LIST: a map each, or rows for a person at a terminal.
func connectorList(d Direction) func(*response) {
	return func(w *response) {
		var rows []Connector
		for _, c := range w.executor.service.Connectors() {
			if c.Direction == d {
				rows = append(rows, c)
			}
		}
		if w.isTyped() {
			w.typedConnectors(rows)
			return
		}
		w.array(len(rows))
		for i := range rows {
			fields := rows[i].Fields()
			w.mapHeader(len(fields))
			for _, f := range fields {
				w.text(f.Name)
				switch v := f.Value.(type) {
				case uint64:
					w.integer(int64(v)) //nolint:gosec // a count
				default:
					w.text(fmt.Sprint(v))
				}
			}
		}
	}
}

// typedConnectors replies with rows, for people.
func (w *response) typedConnectors(rows []Connector) {
	for i := range rows {
		b := append(w.buf, '#')
		for _, f := range rows[i].Fields() {
			if text := fmt.Sprint(f.Value); text != "" && text != "0" && text != "false" {
				b = protocol.EscapeMessage(append(append(append(b, ' '), f.Name...), '='), []byte(text))
			}
		}
		w.buf = protocol.AppendLineEnd(b, w.inv.crlf)
	}
	w.buf = protocol.AppendLineEnd(fmt.Appendf(w.buf, "OK %s %d", w.verb(), len(rows)), w.inv.crlf)
}

// ConnectorField is a field of a connector as it is shown: a text, a bool, or a uint64.
type ConnectorField struct {
	Name  string
	Value any
}

// Fields are the fields of a connector, as all that shows connectors has them.
func (c *Connector) Fields() []ConnectorField {
	fields := []ConnectorField{
		{"name", c.Name}, {"direction", string(c.Direction)}, {"system", c.System}, {"url", c.URL}, {"topic", c.Topic}, {"where", c.Where},
		{"dead_topic", c.DeadTopic}, {"from_file", c.FromFile}, {"node", c.Node}, {"state", c.State}, {"since", timeText(c.Since)}, {"last_error", c.LastError},
		{"error_at", timeText(c.ErrorAt)},
	}
	for _, n := range c.Counts() {
		fields = append(fields, ConnectorField{n.Name, n.Value})
	}
	return fields
}

// ConnectorCount is a count of a connector.
type ConnectorCount struct {
	Name  string
	Value uint64
}

// Counts are the counts of a connector, those of its direction.
func (c *Connector) Counts() []ConnectorCount {
	if c.Direction == Source {
		return []ConnectorCount{
			{"restarts", c.Restarts}, {"taken", c.Taken}, {"published", c.Published}, {"repeated", c.Repeated}, {"held_back", c.HeldBack},
			{"looped", c.Looped}, {"pending", c.Pending}, {"retried", c.Retried}, {"dead", c.Dead},
		}
	}
	return []ConnectorCount{
		{"restarts", c.Restarts}, {"matched", c.Matched}, {"sent", c.Sent}, {"lost", c.Lost}, {"pending", c.Pending}, {"lag", c.Lag},
		{"filtered", c.Filtered}, {"retried", c.Retried}, {"dead", c.Dead},
	}
}

// timeText is empty for a time that has not come.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// infoConnectors is the section Connectors: a line for each.
func infoConnectors(w *response) (lines []string) {
	all := w.executor.service.Connectors()
	lines = append(lines, fmt.Sprintf("connectors:%d", len(all)))
	for i := range all {
		line := fmt.Sprintf("%s_%s:system=%s,state=%s", all[i].Direction, all[i].Name, all[i].System, all[i].State)
		if all[i].Node != "" {
			line += ",node=" + all[i].Node
		}
		for _, n := range all[i].Counts() {
			line += fmt.Sprintf(",%s=%d", n.Name, n.Value)
		}
		lines = append(lines, line)
	}
	return lines
}
