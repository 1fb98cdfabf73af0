package protocol

import "math"

// Limits bound what one command may be. The zero value of a field means its default.
type Limits struct {
	Message   int // bytes of one RESP argument, a message among them. Default 16 MiB
	Line      int // bytes of a line without its end. Default 64 KiB, as Redis
	Topic     int // bytes of a topic or pattern. Default 4 KiB
	Arguments int // arguments of one RESP command. Default 1,048,576, as Redis: libraries resubscribe with one command
	Command   int // bytes of one RESP command as a whole. Default 64 MiB

	unauth bool // see Reader.SetUnauthenticated
}

// What a RESP command may be before its sender has authenticated, as in Redis.
const (
	maxUnauthArgs   = 10
	maxUnauthArgLen = 16 << 10 // bytes
)

// WithDefaults fills in what is zero. Command is never under what a message needs, nor
// over 4 GiB.
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

// CheckTopic tells whether name may be a topic or a pattern.
func (l Limits) CheckTopic(name []byte) *Error {
	if len(name) > l.Topic {
		return Errorf("topic of %d bytes is longer than %d (--max-topic)", len(name), l.Topic)
	}
	return nil
}
