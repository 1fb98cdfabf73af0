package command

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/acl"
)

// A body is an origin, and commands behind it. A command is a byte, the number of its arguments, and the arguments with their
// lengths. A run has the number of its messages behind the first two. A token is the digest of its secret, and when it expires.

// The first byte of a command.
const (
	orderedCommand = 'c'
	orderedRun     = 'r'
	orderedExec    = 'x' // the commands behind it are a transaction
	orderedWatch   = 'w' // a key of WATCH, and its version; behind orderedExec
	orderedUsers   = 'u' // the text of the ACL file that the command behind it, ACL LOAD, puts in force
	orderedToken   = 't' // what the command behind it, ACL TOKEN CREATE, adds
)

// The flags of an origin.
const (
	originBroker      = 1
	originDurableOnly = 2
	originConnector   = 4 // the token of a connector is behind the user
)

func appendOrigin(b []byte, o *origin) []byte {
	var flags byte
	if o.isBroker {
		flags |= originBroker
	}
	if o.durableOnly {
		flags |= originDurableOnly
	}
	if o.connector != "" {
		flags |= originConnector
	}
	b = append(b, flags, byte(o.database)) //nolint:gosec // and back
	b = appendLong(b, []byte(o.user))
	if o.connector != "" {
		b = appendLong(b, []byte(o.connector))
	}
	return b
}

func appendLong(b, text []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// appendOrdered appends a command, or a run of publishes.
func appendOrdered(b []byte, inv *invocation, r *broker.Request) []byte {
	if r.Op == broker.Publish && len(r.Payloads) > 1 {
		b = append(b, orderedRun)
		b = appendLong(appendLong(b, []byte(runName(inv))), r.Names[0])
		b = binary.AppendUvarint(b, uint64(len(r.Payloads)))
		for _, payload := range r.Payloads {
			b = appendLong(b, payload)
		}
		return b
	}
	if t := inv.token; t != nil {
		b = appendLong(append(b, orderedToken), t.digest[:])
		b = binary.LittleEndian.AppendUint64(b, uint64(t.expires.Unix())) //nolint:gosec // and back
	}
	if u := inv.users; u != nil && u.err == nil {
		b = appendLong(append(b, orderedUsers), u.text)
	}
	args := inv.args
	b = append(b, orderedCommand)
	b = binary.AppendUvarint(b, uint64(len(args)))
	if r.Op == broker.Publish { // a line is the same as a command
		b = appendLong(b, []byte(runName(inv)))
		b = appendLong(b, r.Names[0])
		return appendLong(b, r.Payloads[0])
	}
	for _, arg := range args {
		b = appendLong(b, arg)
	}
	return b
}

// runName is the command that publishes, whatever it was written as.
func runName(inv *invocation) string {
	if inv.handler.kind == broker.Shard {
		return "SPUBLISH"
	}
	return "PUBLISH"
}

var errBody = errors.New("an entry of the cluster cannot be read: its nodes run different versions")

// bodyReader reads a body. Texts alias it.
type bodyReader struct {
	left []byte
	err  error
}

func (b *bodyReader) byte() (c byte) {
	if len(b.left) == 0 {
		b.err = errBody
		return 0
	}
	c, b.left = b.left[0], b.left[1:]
	return c
}

func (b *bodyReader) number() int {
	n, size := binary.Uvarint(b.left)
	if size <= 0 || n > uint64(len(b.left)) { // each counted thing has a byte at least
		b.err, b.left = errBody, nil
		return 0
	}
	b.left = b.left[size:]
	return int(n) //nolint:gosec // at most what is left
}

func (b *bodyReader) text() (text []byte) {
	n := b.number()
	if n > len(b.left) {
		b.err, b.left = errBody, nil
		return nil
	}
	text, b.left = b.left[:n:n], b.left[n:]
	return text
}

// texts returns the next n texts, in room if it is large enough. What room has is overwritten.
func (b *bodyReader) texts(n int, room [][]byte) [][]byte {
	texts := slices.Grow(room[:0], n)
	for range n {
		texts = append(texts, b.text())
	}
	return texts
}

func (b *bodyReader) token() *newToken {
	digest := b.text()
	if len(digest) != len(acl.Digest{}) || len(b.left) < 8 {
		b.err, b.left = errBody, nil
		return nil
	}
	expires := time.Unix(int64(binary.LittleEndian.Uint64(b.left)), 0) //nolint:gosec // it was one
	b.left = b.left[8:]
	return &newToken{digest: acl.Digest(digest), expires: expires}
}

func (b *bodyReader) origin() (o origin) {
	flags := b.byte()
	o.isBroker, o.durableOnly = flags&originBroker != 0, flags&originDurableOnly != 0
	o.database = int8(b.byte()) //nolint:gosec // it was one
	o.user = string(b.text())
	if flags&originConnector != 0 {
		o.connector = string(b.text())
	}
	return o
}
