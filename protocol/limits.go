package protocol

import "math"

// Limits bound one command. The zero value of a field means its default.
type Limits struct {
	Message   int // bytes of one RESP argument, such as a message. Default 16 MiB
	Line      int // bytes of a line without its end. Default 64 KiB, as Redis
	Topic     int // bytes of a topic or pattern. Default 4 KiB
	Arguments int // arguments of one RESP command. Default 1,048,576, as Redis: libraries resubscribe with one command
	Command   int // bytes of one RESP command as a whole. Default 64 MiB

	unauth bool // see Reader.SetUnauthenticated
}

// Limits of a RESP command before authentication, as in Redis.
const (
	maxUnauthArgs   = 10
	maxUnauthArgLen = 16 << 10 // bytes
)

// WithDefaults replaces zeros by defaults. Command holds at least one message of the largest size, and stays under
// 4 GiB: see extent.
func (l Limits) WithDefaults() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{{&l.Message, 16 << 20}, {&l.Line, 64 << 10}, {&l.Topic, 4 << 10}, {&l.Arguments, 1 << 20}, {&l.Command, 64 << 20}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	l.Command = min(max(l.Command, l.Message+l.Topic+1024), math.MaxUint32)
	return l
}

// CheckTopic rejects a topic or a pattern over the limit.
func (l Limits) CheckTopic(name []byte) *Error {
	if len(name) > l.Topic {
		return Errorf("topic of %d bytes is longer than %d (--max-topic)", len(name), l.Topic)
	}
	return nil
}
