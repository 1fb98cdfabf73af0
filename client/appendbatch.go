package client

import (
	"context"
	"fmt"
)

// Appended is the outcome of one entry of AppendBatch.
type Appended struct {
	ID  EntryID
	Err error // as that of Append
}

// AppendBatch appends entries in their order, over one connection, without waiting between them, and waits until the server has
// answered all. The ids of the entries are not used. The options are those of each append; Idempotent is refused, because its key is that of one
// entry.
//
// Each entry has an outcome of its own: a refusal of one does not keep the next ones from being appended. Nothing is sent again.
func (c *Client) AppendBatch(ctx context.Context, batch []Entry, options ...AppendOption) []Appended {
	outcomes := make([]Appended, len(batch))
	pipe, calls, err := c.enqueueBatch(ctx, batch, options, outcomes)
	next := 0
	for i := range outcomes {
		switch {
		case outcomes[i].Err != nil:
		case err != nil:
			outcomes[i].Err = err
		default:
			r := pipe.await(ctx, calls[next])
			outcomes[i] = Appended{r.id, r.err}
			next++
		}
	}
	return outcomes
}

// enqueueBatch queues a call for each entry that can be one; the outcome of any other has the error. An error is that of all.
func (c *Client) enqueueBatch(ctx context.Context, batch []Entry, options []AppendOption, outcomes []Appended) (*pipeline, []*pendingCall, error) {
	pipe, err := c.pipeline(ctx)
	if err != nil {
		return nil, nil, err
	}
	shared, err := newAppendOptions(options)
	switch {
	case err != nil:
		return nil, nil, err
	case shared.idempotent:
		return nil, nil, invalidOption("AppendBatch takes no Idempotent: use Append")
	case ctx.Err() != nil:
		return nil, nil, fmt.Errorf("not sent: %w", ctx.Err())
	}
	additions, calls := make([]addition, len(batch)), make([]*pendingCall, 0, len(batch))
	for i := range batch {
		a := &additions[i]
		*a = addition{batch[i].Stream, batch[i].Fields, shared}
		if outcomes[i].Err = a.check(); outcomes[i].Err == nil {
			call := pipe.pool.Get().(*pendingCall)
			call.addition = a
			calls = append(calls, call)
		}
	}
	return pipe, calls, pipe.enqueue(calls...)
}
