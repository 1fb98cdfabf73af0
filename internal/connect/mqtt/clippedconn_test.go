package mqtt

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const testLimit = 100

// received is a connection of which only what comes is of interest.
type received struct {
	net.Conn
	io.Reader
}

func (r received) Read(p []byte) (int, error) { return r.Reader.Read(p) }

func publish(qos byte, topic, payload string, headers ...string) *packets.Publish {
	p := &packets.Publish{Topic: topic, QoS: qos, Payload: []byte(payload), Properties: &packets.Properties{}}
	if qos > 0 {
		p.PacketID = 7
	}
	for _, h := range headers {
		p.Properties.User = append(p.Properties.User, packets.User{Key: "h", Value: h})
	}
	return p
}

func TestPayloadsAreClipped(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name       string
		sent, want *packets.Publish
	}{
		{"a small one stays", publish(1, "t", "hello", "1"), publish(1, "t", "hello", "1")},
		{"one of the limit stays", publish(0, "t", x(testLimit)), publish(0, "t", x(testLimit))},
		{"one byte more stays", publish(2, "t", x(testLimit+1), "1"), publish(2, "t", x(testLimit+1), "1")},
		{"a large one is cut", publish(1, "t", x(testLimit+2), "1"), publish(1, "t", x(testLimit+1), "1")},
		{"a huge one is cut", publish(2, "t", x(3<<20), "1", "2"), publish(2, "t", x(testLimit+1), "1", "2")},
		{"without a packet id, too", publish(0, "t", x(1<<20)), publish(0, "t", x(testLimit+1))},
		{"a long topic is no payload", publish(1, x(65535), "hello"), publish(1, x(65535), "hello")},
		{"an empty payload stays", publish(1, x(1000), ""), publish(1, x(1000), "")},
		{"headers up to the limit stay", publish(1, "t", "hello", x(testLimit-6)), publish(1, "t", "hello", x(testLimit-6))},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, reader := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.DataErrReader} {
				got := readBetween(t, c.sent, reader)
				assert.Equal(t, c.want.Topic, got.Topic)
				assert.Equal(t, string(c.want.Payload), string(got.Payload))
				assert.Equal(t, c.want.Properties.User, got.Properties.User)
				assert.Equal(t, []any{c.want.QoS, c.want.PacketID}, []any{got.QoS, got.PacketID})
			}
		})
	}
}

// TestHeadersThatAreTooLarge: the message comes without them, with a payload that is too large, so that it is counted as dead.
func TestHeadersThatAreTooLarge(t *testing.T) {
	for _, payload := range []string{"", "hello", strings.Repeat("x", 1<<20)} {
		got := readBetween(t, publish(1, "t", payload, strings.Repeat("x", testLimit-5), strings.Repeat("y", 1000)), iotest.OneByteReader)
		assert.Equal(t, "t", got.Topic)
		assert.Equal(t, []any{byte(1), uint16(7)}, []any{got.QoS, got.PacketID})
		assert.Empty(t, got.Properties.User)
		assert.Len(t, got.Payload, testLimit+1)
	}
}

// readBetween sends p between two small packets, requires that these come unchanged, and returns what came of p.
func readBetween(t *testing.T, p *packets.Publish, reader func(io.Reader) io.Reader) *packets.Publish {
	t.Helper()
	var sent bytes.Buffer
	around := publish(1, "around", "small")
	for _, p := range []*packets.Publish{around, p, around} {
		_, err := p.WriteTo(&sent)
		require.NoError(t, err)
	}
	c := newClippedConn(received{Reader: reader(&sent)}, testLimit)
	var all []*packets.Publish
	for range 3 {
		got, err := packets.ReadPacket(c)
		require.NoError(t, err)
		all = append(all, got.Content.(*packets.Publish))
	}
	for _, i := range []int{0, 2} {
		assert.Equal(t, []string{"around", "small"}, []string{all[i].Topic, string(all[i].Payload)})
	}
	_, err := packets.ReadPacket(c)
	assert.ErrorIs(t, err, io.EOF)
	return all[1]
}

func TestMalformedPackets(t *testing.T) {
	long := func(head ...byte) []byte {
		return append(binary.AppendUvarint([]byte{0x32}, 1000), append(head, make([]byte, 1000)...)...)
	}
	for name, sent := range map[string][]byte{
		"a length over that of MQTT":         {0x30, 0x80, 0x80, 0x80, 0x80, 0x01},
		"a topic behind the end":             long(0xff, 0xff),
		"properties behind the end":          long(0, 1, 't', 0, 7, 0xff, 0xff, 0x7f),
		"a length of properties without end": long(0, 1, 't', 0, 7, 0xff, 0xff, 0xff, 0xff, 0xff),
		"a topic that leaves no properties":  long(0x03, 0xe4),
		"a packet id behind the end":         long(0x03, 0xe6),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := io.ReadAll(newClippedConn(received{Reader: bytes.NewReader(sent)}, testLimit))
			assert.ErrorIs(t, err, errPacket)
		})
	}
}

// FuzzClippedConn: whatever comes, no message that the library reads has more than the limit and one byte.
func FuzzClippedConn(f *testing.F) {
	for _, p := range []*packets.Publish{publish(1, "t", "hello", "1"), publish(0, "t", strings.Repeat("x", 300)), publish(2, "t", "", strings.Repeat("x", 300))} {
		var sent bytes.Buffer
		_, err := p.WriteTo(&sent)
		require.NoError(f, err)
		f.Add(sent.Bytes())
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		passed, err := io.ReadAll(newClippedConn(received{Reader: iotest.HalfReader(bytes.NewReader(sent))}, testLimit))
		assert.LessOrEqual(t, len(passed), len(sent)+1)
		if err != nil {
			return
		}
		in := bytes.NewReader(passed)
		for in.Len() > 0 {
			at := in.Len()
			packet, err := packets.ReadPacket(in)
			if err != nil {
				return
			}
			assert.Less(t, in.Len(), at)
			if p, ok := packet.Content.(*packets.Publish); ok {
				assert.LessOrEqual(t, len(p.Payload), testLimit+1)
			}
		}
	})
}
