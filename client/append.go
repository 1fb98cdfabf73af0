package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// AppendOption is an option of one append: Idempotent, WithID, MaxLen, IfLast or Fence. The zero value has no effect.
type AppendOption struct{ set func(*appendOptions) }

// Idempotent appends an entry at most once: an append with the same producer and key again adds nothing, and returns the
// id of the first one. A producer names its entries apart from those of other producers. Append then repeats what breaks
// off, until the outcome is known, for 90 seconds at most.
//
// A server remembers the last keys of a producer for a time: 100 keys and 100 seconds, unless XCFGSET says otherwise. Do
// not have more than that in flight. Redis has these keys from 8.6 on; older servers refuse them as a syntax error.
func Idempotent(producer, key string) AppendOption {
	return AppendOption{func(a *appendOptions) { a.idempotent, a.producer, a.key = true, producer, key }}
}

// WithID appends with an id of the caller, which must be above all ids that the stream has had.
func WithID(id EntryID) AppendOption {
	return AppendOption{func(a *appendOptions) { a.id = id.String() }}
}

// MaxLen removes the oldest entries beyond about so many. The server may keep a few more, where exactness costs it work.
func MaxLen(entries int) AppendOption {
	return AppendOption{func(a *appendOptions) { a.bounded, a.maxLen = true, entries }}
}

// IfLast appends only if id is the last one that the stream has had; the zero value stands for a stream without entries. Otherwise
// nothing is appended, and the error is a *LastIDError. So of several writers that have read the same end, one appends. Redis
// refuses the option as a syntax error.
func IfLast(id EntryID) AppendOption {
	return AppendOption{func(a *appendOptions) { a.ifLast = id.String() }}
}

// Fence appends only if token is not below the one that XFENCE has set for the stream. Otherwise nothing is appended, and the
// error is an *Error with the code CodeFenced: another writer has taken over. Redis refuses the option as a syntax error.
func Fence(token int64) AppendOption {
	return AppendOption{func(a *appendOptions) { a.fenced, a.fence = true, token }}
}

// LastIDError is the error of an append with IfLast to a stream that has moved on.
type LastIDError struct {
	Last    EntryID // the last id of the stream
	refusal *Error
}

// Error returns the reply of the server.
func (e *LastIDError) Error() string { return e.refusal.Error() }

// Unwrap returns the reply as an *Error.
func (e *LastIDError) Unwrap() error { return e.refusal }

// addition is what one Append adds.
type addition struct {
	stream string
	fields []Field
	*appendOptions
}

// appendOptions are those of one Append, or of all that an AppendBatch adds.
type appendOptions struct {
	id string // "*": the server makes it

	idempotent    bool
	producer, key string
	bounded       bool
	maxLen        int
	ifLast        string // "" for any
	fenced        bool
	fence         int64
}

func newAddition(stream string, fields []Field, options []AppendOption) (*addition, error) {
	o, err := newAppendOptions(options)
	if err != nil {
		return nil, err
	}
	a := &addition{stream, fields, o}
	return a, a.check()
}

// check returns why nothing can be appended.
func (a *addition) check() error {
	if len(a.fields) == 0 {
		return invalidOption("an entry needs a field")
	}
	return nil
}

func newAppendOptions(options []AppendOption) (*appendOptions, error) {
	a := &appendOptions{id: "*"}
	for _, o := range options {
		if o.set != nil {
			o.set(a)
		}
	}
	switch {
	case a.idempotent && (a.producer == "" || a.key == ""):
		return nil, invalidOption("Idempotent needs a producer and a key that are not empty: %.60q, %.60q", a.producer, a.key)
	case a.idempotent && a.id != "*":
		return nil, invalidOption("Idempotent and WithID exclude each other: the id of the first append is the server's")
	case a.bounded && a.maxLen < 0:
		return nil, invalidOption("MaxLen must not be negative: %d", a.maxLen)
	case a.fenced && a.fence < 0:
		return nil, invalidOption("a fencing token must not be negative: %d", a.fence)
	}
	return a, nil
}

// appendTo appends the command XADD.
func (a *addition) appendTo(b []byte) []byte {
	options := make([]string, 0, 12)
	options = append(options, "XADD", a.stream)
	if a.idempotent {
		options = append(options, "IDMP", a.producer, a.key)
	}
	if a.bounded {
		options = append(options, "MAXLEN", "~", strconv.Itoa(a.maxLen))
	}
	if a.ifLast != "" {
		options = append(options, "IF-LAST", a.ifLast)
	}
	if a.fenced {
		options = append(options, "FENCE", strconv.FormatInt(a.fence, 10))
	}
	options = append(options, a.id)
	b = appendHead(b, '*', len(options)+2*len(a.fields))
	for _, o := range options {
		b = appendText(b, o)
	}
	for i := range a.fields {
		b = appendText(b, a.fields[i].Name)
		b = appendText(b, a.fields[i].Value)
	}
	return b
}

// Append appends an entry to a stream, which it creates if need be, and waits until the server has acknowledged it.
// Calls from several goroutines, those of Publish too, share the connection without waiting for each other. What the
// acknowledgement promises about the disk is the server's setting.
//
// Errors are those of Publish: one that wraps ErrOutcomeUnknown means that the entry may have been appended. It is sent
// again only with Idempotent; then, with several addresses, also if none of them can be used at the moment.
func (c *Client) Append(ctx context.Context, stream string, fields []Field, options ...AppendOption) (EntryID, error) {
	a, err := newAddition(stream, fields, options)
	if err != nil {
		return EntryID{}, err
	}
	started := time.Now()
	var id EntryID
	pipe, err := c.pipeline(ctx)
	mayRecover := err != nil && !isPermanent(err)
	if err == nil {
		id, err = pipe.append(ctx, a)
		mayRecover = isUnready(err)
	}
	if a.idempotent && (errors.Is(err, ErrOutcomeUnknown) || mayRecover && c.options.nodes.several()) {
		return c.repeat(ctx, a, started.Add(repeatTime), err)
	}
	return id, err
}

// repeatTime bounds the repetition of an idempotent append. It is below the 100 s for which servers remember a key by
// default, so that a repetition never adds the entry a second time.
const repeatTime = 90 * time.Second

// repeat sends an idempotent append again until its outcome is known. cause is why it is not.
func (c *Client) repeat(ctx context.Context, a *addition, until time.Time, cause error) (EntryID, error) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for attempt := 0; ; attempt++ {
		if !c.pause(ctx, attempt) {
			return EntryID{}, cause
		}
		pipe, err := c.pipeline(ctx)
		permanent := err != nil && isPermanent(err)
		if err == nil {
			var id EntryID
			if id, err = pipe.append(ctx, a); err == nil {
				return id, nil
			}
			permanent = isRefused(err)
		}
		switch {
		case errors.Is(err, ErrOutcomeUnknown):
			cause = err
		case permanent && errors.Is(cause, ErrOutcomeUnknown): // an attempt before may have succeeded all the same
			return EntryID{}, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
		case permanent:
			return EntryID{}, err
		}
	}
}

// isRefused reports whether a server that is ready refuses a command.
func isRefused(err error) bool { return errors.As(err, new(*Error)) && !isUnready(err) }

// pause waits before attempt n, counted from 0. It returns false if ctx or the client has ended.
func (c *Client) pause(ctx context.Context, attempt int) bool {
	timer := time.NewTimer(c.options.backoff(attempt))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-c.ctx.Done():
	}
	return ctx.Err() == nil && c.ctx.Err() == nil
}

// refusedAppend is the error of an append that the server refuses. The text of LASTID begins with the last id.
func refusedAppend(refusal *Error) error {
	word, _, _ := strings.Cut(refusal.Text, " ")
	if id, err := ParseEntryID(word); err == nil && refusal.Code == CodeLastID {
		return &LastIDError{id, refusal}
	}
	return refusal
}

// parseAppended reads the reply to XADD.
func parseAppended(r *reply) (EntryID, error) {
	switch r.kind {
	case kindError:
		return EntryID{}, refusedAppend(newError(r.bytes))
	case kindBulk:
		if id, err := ParseEntryID(string(r.bytes)); err == nil {
			return id, nil
		}
	}
	return EntryID{}, malformed("unexpected reply %q to XADD: %.60q", r.kind, r.bytes)
}
