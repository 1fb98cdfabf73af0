package connect

import (
	"context"
	"errors"

	"github.com/conchmq/conch/internal/command"
)

// Dial connects a connector once, and closes the connection: nothing is read, written or acknowledged. A program that is a source starts.
// Its error shows no password.
func (p *Plan) Dial(ctx context.Context, limit int) error {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	err := guard(func() error { return p.dial(ctx, p.address(limit, func(string) {})) })
	if err != nil {
		return errors.New(p.target.Scrub(err.Error()))
	}
	return nil
}

func (p *Plan) dial(ctx context.Context, a Address) error {
	if p.Direction == command.Source {
		source, err := p.target.System.Source(a)
		if err != nil {
			return err
		}
		return errors.Join(source.Connect(ctx, Start{}), source.Close(ctx))
	}
	sink, err := p.target.System.Sink(a)
	if err != nil {
		return err
	}
	return errors.Join(sink.Connect(ctx), sink.Close(ctx))
}
