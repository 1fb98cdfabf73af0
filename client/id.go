package client

// MessageID names one message of one Publisher, for Wait. The zero MessageID names none. What it is made of is no
// promise: the connection is in the upper 6 bits, the connection's own count, from 1, in the other 58.
type MessageID uint64

const (
	countBits      = 58
	maxConnections = 1 << (64 - countBits)
)

func newMessageID(connection int, count uint64) MessageID {
	return MessageID(uint64(connection)<<countBits | count)
}

func (id MessageID) connection() int { return int(id >> countBits) }
func (id MessageID) count() uint64   { return uint64(id) & (1<<countBits - 1) }
