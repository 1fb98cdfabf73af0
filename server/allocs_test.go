//go:build !race

package server_test

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// From the read of a command to the writes of its reply and of its message: reader, core, outboxes and writer. The first
// messages fill the pools; a collection of garbage may empty them once, which is less than one allocation a message.
func TestAMessageAllocatesNothing(t *testing.T) {
	const respPublish = "*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$5\r\nhello\r\n"
	tests := []struct{ sentence, subscribe, confirmed, publish, reply, message string }{
		{"RESP", "SUBSCRIBE a\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", respPublish, ":1\r\n", "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n"},
		{"a pattern", "PSUBSCRIBE a*\r\n", "*3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:1\r\n", respPublish, ":1\r\n", "*4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$1\r\na\r\n$5\r\nhello\r\n"},
		{"lines", "SUB a\n", "OK SUB a\n", "PUB a hello\n", "OK PUB a\n", "UPDATE a hello\n"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			s := harness.Start(t, server.Options{})
			sub, pub := dialRaw(t, s.Addr), dialRaw(t, s.Addr)
			trade := func(sock net.Conn, send, room []byte) {
				if _, err := sock.Write(send); err != nil {
					panic(err)
				}
				if _, err := io.ReadFull(sock, room); err != nil {
					panic(err)
				}
			}
			trade(sub, []byte(test.subscribe), make([]byte, len(test.confirmed)))
			publish, reply, message := []byte(test.publish), make([]byte, len(test.reply)), make([]byte, len(test.message))
			allocations := testing.AllocsPerRun(2000, func() {
				trade(pub, publish, reply)
				trade(sub, nil, message)
			})
			assert.Equal(t, test.reply, string(reply))
			assert.Equal(t, test.message, string(message))
			assert.Zero(t, allocations)
		})
	}
}

func dialRaw(t *testing.T, address string) net.Conn {
	t.Helper()
	sock, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = sock.Close() })
	return sock
}
