package keyargs

import "github.com/conchmq/conch/protocol"

// XFence is XFENCE.
type XFence struct {
	Key []byte
	// Raises: there is a token. Without one the command reads that of the stream.
	Raises bool
	Token  uint64
}

// Parse parses XFENCE.
func (x *XFence) Parse(args [][]byte) (err *protocol.Error) {
	*x = XFence{Key: args[1]}
	switch len(args) {
	case 2:
		return nil
	case 3:
		x.Raises = true
		x.Token, err = token(args[2])
		return err
	}
	return errSyntax
}

// token parses a fencing token. It fits into an integer of a reply.
func token(arg []byte) (uint64, *protocol.Error) {
	n, ok := protocol.ParseInt(arg)
	if !ok || n < 0 {
		return 0, errFence
	}
	return uint64(n), nil
}
