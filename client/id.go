package client

// MessageID identifies one message of one Publisher, for Wait. The zero MessageID identifies none. Its layout may
// change: the upper 6 bits are the connection, the other 58 the count of the message on it, from 1.
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
