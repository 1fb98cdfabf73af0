package keyargs

import "github.com/conchmq/conch/protocol"

// Wait is WAIT, or WAITAOF.
type Wait struct {
	Local    int64 // of WAITAOF: 1 to wait for the disk of this server
	Replicas int64
	Timeout  int64 // in milliseconds; 0 for no end
}

// ParseWait parses WAIT.
func (x *Wait) ParseWait(args [][]byte) (err *protocol.Error) {
	*x = Wait{}
	if x.Replicas, err = integer(args[1]); err == nil {
		x.Timeout, err = timeout(args[2])
	}
	return err
}

// ParseWaitAOF parses WAITAOF.
func (x *Wait) ParseWaitAOF(args [][]byte) (err *protocol.Error) {
	*x = Wait{}
	if x.Local, err = integer(args[1]); err == nil && (x.Local < 0 || x.Local > 1) {
		err = errLocal
	}
	if err != nil {
		return err
	}
	if x.Replicas, err = integer(args[2]); err == nil && x.Replicas < 0 {
		err = errNegative
	}
	if err == nil {
		x.Timeout, err = timeout(args[3])
	}
	return err
}
