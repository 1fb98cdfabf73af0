package bench

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Dialect is the protocol between generator and server.
type Dialect int

// The dialects. Raw is for the [Relay]: publishers send the message frames of RESP2, which it forwards.
const (
	RESP2 Dialect = iota
	RESP3
	Line
	NATS
	Raw
)

var dialectNames = [...]string{RESP2: "resp2", RESP3: "resp3", Line: "line", NATS: "nats", Raw: "raw"}

func (d Dialect) String() string {
	if d < 0 || int(d) >= len(dialectNames) {
		return fmt.Sprintf("Dialect(%d)", int(d))
	}
	return dialectNames[d]
}

// ParseDialect parses a dialect's name. It ignores letter case.
func ParseDialect(name string) (Dialect, error) {
	for d, known := range dialectNames {
		if strings.EqualFold(name, known) {
			return Dialect(d), nil
		}
	}
	return 0, fmt.Errorf("expected resp2, resp3, line, nats or raw, not %q", name)
}

// MarshalText encodes the dialect as its name, for JSON.
func (d Dialect) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (d *Dialect) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDialect(string(text))
	return err
}

// sized reports whether a frame has the length of its payload. Lines have none.
func (d Dialect) sized() bool { return d != Line }

// replies reports whether every publish has a reply.
func (d Dialect) replies() bool { return d != NATS && d != Raw }

// lineEnd follows a payload. A server ends its lines as the client ends its own.
func (d Dialect) lineEnd() string {
	if d == Line {
		return "\n"
	}
	return "\r\n"
}

// publishHeader is the part of a publish command before the payload, without the payload's length.
func (d Dialect) publishHeader(topic string) string {
	switch d {
	case Line:
		return "PUB " + topic + " "
	case NATS:
		return "PUB " + topic + " "
	case Raw:
		return d.messageHeader(topic)
	default:
		return fmt.Sprintf("*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$", len(topic), topic)
	}
}

// messageHeader is the part of a delivered message before the payload, without the payload's length.
func (d Dialect) messageHeader(topic string) string {
	switch d {
	case Line:
		return "UPDATE " + topic + " "
	case NATS:
		return "MSG " + topic + " " + topic + " " // the subscription's number is the topic, see subscribe
	case RESP3:
		return fmt.Sprintf(">3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$", len(topic), topic)
	default:
		return fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$", len(topic), topic)
	}
}

// auth is the command that authenticates, or empty where there is nothing to send or hello has it.
func (d Dialect) auth(user, password string) string {
	if user == "" {
		user = "default"
	}
	switch {
	case password == "" && user == "default" || d == NATS || d == Raw:
		return ""
	case d == Line:
		return fmt.Sprintf("AUTH %q %q\n", user, password)
	}
	return fmt.Sprintf("*3\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(user), user, len(password), password)
}

// natsConnect is the first command of a NATS client.
type natsConnect struct {
	Verbose  bool   `json:"verbose"`
	Pedantic bool   `json:"pedantic"`
	Lang     string `json:"lang"`
	Version  string `json:"version"`
	Protocol int    `json:"protocol"`
	User     string `json:"user,omitempty"`
	Pass     string `json:"pass,omitempty"`
}

// hello opens the dialect on a connection.
func (d Dialect) hello(user, password string) string {
	switch d {
	case RESP3:
		return "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"
	case NATS:
		options, err := json.Marshal(natsConnect{Lang: "go", Version: "conch-bench", Protocol: 1, User: user, Pass: password})
		if err != nil {
			panic(err) // cannot happen: strings, bools and a number
		}
		return "CONNECT " + string(options) + "\r\nPING\r\n"
	default:
		return ""
	}
}

// subscribe returns the command that subscribes to topics and the exact confirmation. before is the number of topics that
// the connection already has.
func (d Dialect) subscribe(topics []string, before int) (command, confirmation string) {
	var c, r strings.Builder
	switch d {
	case Raw:
		return "sub\n", "ok\n"
	case Line:
		for _, topic := range topics {
			fmt.Fprintf(&r, "OK SUB %s\n", topic)
		}
		return "SUB " + strings.Join(topics, " ") + "\n", r.String()
	case NATS:
		for _, topic := range topics {
			fmt.Fprintf(&c, "SUB %s %s\r\n", topic, topic)
		}
		return c.String() + "PING\r\n", "PONG\r\n"
	default:
		kind := '*'
		if d == RESP3 {
			kind = '>'
		}
		fmt.Fprintf(&c, "*%d\r\n$9\r\nSUBSCRIBE\r\n", len(topics)+1)
		for i, topic := range topics {
			fmt.Fprintf(&c, "$%d\r\n%s\r\n", len(topic), topic)
			fmt.Fprintf(&r, "%c3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:%d\r\n", kind, len(topic), topic, before+i+1)
		}
		return c.String(), r.String()
	}
}
