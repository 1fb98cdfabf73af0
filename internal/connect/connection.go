package connect

import (
	"context"
	"errors"

	"github.com/rs/zerolog"
)

// connection is one connection of a driver, from connect, which Timeout bounds, to its end: end follows in any case. panicked reports that the
// driver has panicked, and must be made anew.
func (p *Plan) connection(
	ctx context.Context, connect func(context.Context) error, carry func() error, end func(context.Context) error,
) (panicked bool, err error) {
	err = guard(func() error {
		ctx, cancel := context.WithTimeout(ctx, p.Timeout)
		defer cancel()
		return connect(ctx)
	})
	if err == nil {
		err = carry()
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	err = errors.Join(err, guard(func() error { return end(closing) }))
	return errors.As(err, new(*panicError)), err
}

// warnTo is the Warn of an address: a line of the log without secrets.
func (p *Plan) warnTo(log *zerolog.Logger) func(text string) {
	return func(text string) {
		log.Warn().Str("text", p.target.Scrub(text)).Msg("a driver of a connector warns")
	}
}
