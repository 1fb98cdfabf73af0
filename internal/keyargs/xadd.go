package keyargs

import (
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// XAdd is XADD.
type XAdd struct {
	Key []byte
	stream.AddOptions
}

// Parse parses XADD. With IDMP and IDMPAUTO it hashes what the client sent: it belongs on a
// reader, not on the core.
func (x *XAdd) Parse(args [][]byte) *protocol.Error {
	*x = XAdd{Key: args[1]}
	p := addParser{XAdd: x, trimParser: trimParser{trim: &x.Trim}}
	rest, err := p.options(args[2:])
	if err != nil {
		return err
	}
	if len(rest) > 0 { // without an id all arguments are options, and the fields are missing
		var failed error
		if x.ID, x.Auto, x.AutoSeq, failed = stream.ParseAddID(rest[0]); failed != nil {
			return streamError(failed)
		}
		rest = rest[1:]
	}
	if err = p.check(false); err != nil {
		return err
	}
	if len(rest) < 2 || len(rest)%2 == 1 {
		return errArityXAdd
	}
	x.Fields, x.Refs = rest, x.Trim.Refs
	switch {
	case p.idmp && !x.Auto:
		return errIDMPExplicit
	case !x.Auto && !x.AutoSeq && x.ID.IsZero():
		return errZeroID
	}
	p.identify()
	return nil
}

// addParser is the state while XADD is parsed.
type addParser struct {
	*XAdd
	trimParser
	idmp          bool
	producer, iid []byte // iid is nil with IDMPAUTO
}

// options parses all in front of the id, and returns the rest.
func (p *addParser) options(args [][]byte) (rest [][]byte, err *protocol.Error) {
	for len(args) > 0 {
		n, err := p.option(args)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		args = args[n:]
	}
	return args, nil
}

// option parses the option at the start of args, and returns how many arguments it has: 0 if it
// is none, and therefore the id.
func (p *addParser) option(args [][]byte) (n int, err *protocol.Error) {
	if arg := args[0]; len(arg) == 1 && arg[0] == '*' {
		return 0, nil
	}
	if n, err = p.trimParser.option(args); n > 0 || err != nil {
		return n, err
	}
	switch {
	case is(args[0], "NOMKSTREAM"):
		p.NoMkStream = true
		return 1, nil
	case is(args[0], "IDMP") && len(args) > 2:
		if err = p.setProducer(args[1], errIDMPProducer); err == nil && len(args[2]) == 0 {
			err = errIDMPIID
		}
		p.iid = args[2]
		return 3, err
	case is(args[0], "IDMPAUTO") && len(args) > 1:
		return 2, p.setProducer(args[1], errIDMPAutoProducer)
	case is(args[0], "IF-LAST") && len(args) > 1:
		p.IfLast = true
		p.Last, err = parseID(args[1])
		return 2, err
	case is(args[0], "FENCE") && len(args) > 1:
		p.Fenced = true
		p.Fence, err = token(args[1])
		return 2, err
	}
	return 0, nil
}

// setProducer sets the producer, which must be the only one and not empty.
func (p *addParser) setProducer(name []byte, empty *protocol.Error) *protocol.Error {
	switch {
	case p.idmp:
		return errIDMPTwice
	case len(name) == 0:
		return empty
	}
	p.idmp, p.producer = true, name
	return nil
}

// identify hashes what makes the entry the same as another one.
func (p *addParser) identify() {
	if !p.idmp {
		return
	}
	p.Idempotent, p.Producer = true, stream.HashID(p.producer)
	if p.iid != nil {
		p.Message = stream.HashID(p.iid)
	} else {
		p.Message = stream.HashFields(p.Fields)
	}
}
