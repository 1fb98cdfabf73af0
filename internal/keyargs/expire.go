package keyargs

import (
	"math"

	"github.com/conchmq/conch/protocol"
)

// Expire is EXPIRE, PEXPIRE, EXPIREAT or PEXPIREAT.
type Expire struct {
	Key []byte
	// At is when the key is to expire, in milliseconds since 1970. It may have passed.
	At             int64
	NX, XX, GT, LT bool
}

// ExpireForm is which of the four commands it is.
type ExpireForm struct {
	Seconds  bool // else milliseconds
	Absolute bool // since 1970, else from now on
}

// Parse parses one of the four, at a time in milliseconds since 1970. name is the command in
// lower case, for an error.
func (x *Expire) Parse(args [][]byte, form ExpireForm, now int64, name string) *protocol.Error {
	*x = Expire{Key: args[1]}
	if err := x.parseOptions(args[3:]); err != nil {
		return err
	}
	at, err := integer(args[2])
	if err != nil {
		return err
	}
	if form.Seconds {
		if at > math.MaxInt64/1000 || at < math.MinInt64/1000 {
			return errExpireTime(name)
		}
		at *= 1000
	}
	if !form.Absolute {
		if at > math.MaxInt64-now {
			return errExpireTime(name)
		}
		at += now
	}
	x.At = at
	return nil
}

func errExpireTime(name string) *protocol.Error {
	return protocol.Errorf("invalid expire time in '%s' command", name)
}

func (x *Expire) parseOptions(args [][]byte) *protocol.Error {
	for _, arg := range args {
		switch {
		case is(arg, "NX"):
			x.NX = true
		case is(arg, "XX"):
			x.XX = true
		case is(arg, "GT"):
			x.GT = true
		case is(arg, "LT"):
			x.LT = true
		default:
			return protocol.Errorf("Unsupported option %s", cString(arg))
		}
	}
	switch {
	case x.NX && (x.XX || x.GT || x.LT):
		return errNXAndOther
	case x.GT && x.LT:
		return errGTAndLT
	}
	return nil
}

// Allows reports whether the options allow a key to get this time. deadline is the one that it
// has, 0 if it has none, which is later than any.
func (x *Expire) Allows(deadline int64) bool {
	has := deadline != 0
	switch {
	case x.NX && has, x.XX && !has:
		return false
	case x.GT && (!has || x.At <= deadline):
		return false
	case x.LT && has && x.At >= deadline:
		return false
	}
	return true
}
