package keyargs

import (
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// XTrim is XTRIM.
type XTrim struct {
	Key  []byte
	Trim stream.TrimOptions
}

// Parse parses XTRIM.
func (x *XTrim) Parse(args [][]byte) *protocol.Error {
	*x = XTrim{Key: args[1]}
	p := trimParser{trim: &x.Trim}
	for args = args[2:]; len(args) > 0; {
		n, err := p.option(args)
		if err != nil {
			return err
		}
		if n == 0 {
			return errSyntax
		}
		args = args[n:]
	}
	return p.check(true)
}

// trimParser parses MAXLEN or MINID, and what belongs to it: all of XTRIM behind the key, and a
// part of XADD.
type trimParser struct {
	trim                  *stream.TrimOptions
	limitGiven, refsGiven bool
}

// option parses the option at the start of args, and returns how many arguments it has: 0 if
// there is none of these.
func (p *trimParser) option(args [][]byte) (n int, err *protocol.Error) {
	switch arg := args[0]; {
	case is(arg, "MAXLEN") && len(args) > 1:
		return p.rule(stream.TrimMaxLen, args)
	case is(arg, "MINID") && len(args) > 1:
		return p.rule(stream.TrimMinID, args)
	case is(arg, "LIMIT") && len(args) > 1:
		p.limitGiven = true
		limit, err := integer(args[1])
		if err == nil && limit < 0 {
			err = errLimit
		}
		p.trim.Limit = int(limit)
		return 2, err
	case !p.refsGiven && parseRefs(&p.trim.Refs, arg):
		p.refsGiven = true // a second one is no option
		return 1, nil
	}
	return 0, nil
}

// parseRefs sets refs from a word, and reports whether the word is one of the three.
func parseRefs(refs *stream.RefMode, arg []byte) bool {
	switch {
	case is(arg, "KEEPREF"):
		*refs = stream.KeepRef
	case is(arg, "DELREF"):
		*refs = stream.DelRef
	case is(arg, "ACKED"):
		*refs = stream.Acked
	default:
		return false
	}
	return true
}

// rule parses MAXLEN or MINID, the sign behind it, and its value.
func (p *trimParser) rule(kind stream.TrimKind, args [][]byte) (n int, err *protocol.Error) {
	if p.trim.Kind != stream.TrimNone {
		return 0, errTrimTwice
	}
	p.trim.Kind, n = kind, 1
	if sign := args[1]; len(args) > 2 && len(sign) == 1 && (sign[0] == '~' || sign[0] == '=') {
		p.trim.Approx, n = sign[0] == '~', 2
	}
	if kind == stream.TrimMinID {
		p.trim.MinID, err = parseID(args[n])
		return n + 1, err
	}
	most, err := integer(args[n])
	if err == nil && most < 0 {
		err = errMaxLen
	}
	p.trim.MaxLen = uint64(most) //nolint:gosec // a negative one is an error
	return n + 1, err
}

// check checks the options together, after the last one, and fills in the limit.
func (p *trimParser) check(needed bool) *protocol.Error {
	t := p.trim
	switch {
	case t.Limit > 0 && t.Kind == stream.TrimNone:
		return errLimitAlone
	case needed && t.Kind == stream.TrimNone:
		return errTrimNone
	case p.limitGiven && !t.Approx:
		return errLimitExact
	case !p.limitGiven && t.Approx:
		t.Limit = stream.DefaultTrimLimit
	}
	return nil
}
