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
	pipe, err := c.pipeline(ctx)
	calls := make([]*pendingCall, len(batch))
	for i := range batch {
		if err != nil { // no connection, or none any more
			outcomes[i].Err = err
			continue
		}
		a, invalid := newAddition(batch[i].Stream, batch[i].Fields, options)
		switch {
		case invalid != nil:
			outcomes[i].Err = invalid
			continue
		case a.idempotent:
			outcomes[i].Err = invalidOption("AppendBatch takes no Idempotent: use Append")
			continue
		case ctx.Err() != nil:
			outcomes[i].Err = fmt.Errorf("not sent: %w", ctx.Err())
			continue
		}
		call := pipe.pool.Get().(*pendingCall)
		call.addition = a
		if err = pipe.enqueue(call); err != nil {
			outcomes[i].Err = err
			continue
		}
		calls[i] = call
	}
	for i, call := range calls {
		if call != nil {
			r := pipe.await(ctx, call)
			outcomes[i] = Appended{r.id, r.err}
		}
	}
	return outcomes
}
