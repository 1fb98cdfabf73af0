package mqtt

import (
	"bufio"
	"encoding/binary"
	"errors"
	"math"
	"net"

	"github.com/eclipse/paho.golang/packets"
)

// Limits of MQTT 5: the remaining length of a packet (2.1.4), and the part of a PUBLISH in front of its properties: a topic with its
// length, a packet id, and the length of the properties (3.3.2).
const (
	largestPacket = 1<<28 - 1
	lengthBytes   = 4
	largestHeader = 2 + math.MaxUint16 + 2 + lengthBytes
)

var errPacket = errors.New("mqtt: the server has sent a malformed packet")

// clippedConn shortens the payloads that the server sends to one byte above the limit: they are counted as too large all the same. The
// library reads a packet whole, in three copies; a payload of 256 MiB would take a gigabyte.
//
// The goroutine of the library that reads owns all fields.
type clippedConn struct {
	net.Conn
	in    *bufio.Reader
	limit int // of a payload, in bytes

	head []byte // of the packet, to be passed on first
	body int    // bytes of in that are passed on then
	rest int    // bytes of in that are left out then
}

func newClippedConn(conn net.Conn, limit int) *clippedConn {
	return &clippedConn{Conn: conn, in: bufio.NewReaderSize(conn, largestHeader), limit: limit}
}

func (c *clippedConn) Read(p []byte) (int, error) {
	for len(c.head) == 0 && c.body == 0 {
		n, err := c.in.Discard(c.rest)
		if c.rest -= n; err != nil {
			return 0, err
		}
		if err := c.begin(); err != nil {
			return 0, err
		}
	}
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	n, err := c.in.Read(p[:min(len(p), c.body)])
	c.body -= n
	return n, err
}

// begin reads the next packet up to its payload's length, and fills head, body and rest.
func (c *clippedConn) begin() error {
	first, err := c.in.ReadByte()
	if err != nil {
		return err
	}
	length, err := binary.ReadUvarint(c.in) // the coding of MQTT is the same
	if err != nil {
		return err
	}
	if length > largestPacket {
		return errPacket
	}
	c.pass(first, int(length), 0)
	if first>>4 != packets.PUBLISH || c.body <= c.limit {
		return nil
	}
	return c.shorten(first)
}

// shorten looks at the part of a large PUBLISH in front of its properties, and takes the end of the payload out.
func (c *clippedConn) shorten(first byte) error {
	topic, err := c.in.Peek(2)
	if err != nil {
		return err
	}
	header := len(topic) + int(binary.BigEndian.Uint16(topic))
	if first&0b110 != 0 { // with a packet id for its quality of service
		header += 2
	}
	if header >= c.body {
		return errPacket
	}
	front, err := c.in.Peek(min(header+lengthBytes, c.body))
	if err != nil {
		return err
	}
	properties, n := binary.Uvarint(front[header:])
	if n <= 0 || header+n+int(properties) > c.body {
		return errPacket
	}
	if int(properties) > c.limit {
		return c.replace(first, front[:header])
	}
	if keep := header + n + int(properties) + c.limit + 1; keep < c.body {
		c.pass(first, keep, c.body-keep)
	}
	return nil
}

// replace passes on the message without its properties, which are too large. Its payload is what follows the header, cut to a length that
// is too large, too.
func (c *clippedConn) replace(first byte, header []byte) error {
	length := len(header) + 1 + c.limit + 1
	c.pass(first, length, c.body-len(header)-c.limit-1)
	c.head = append(append(c.head, header...), 0)
	c.body = c.limit + 1
	_, err := c.in.Discard(len(header))
	return err
}

// pass passes on a packet of this length, and leaves out what is behind it.
func (c *clippedConn) pass(first byte, length, rest int) {
	c.head = binary.AppendUvarint(append(c.head[:0], first), uint64(length))
	c.body, c.rest = length, rest
}
