package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"sync"
	"time"
)

// CreateGroup makes a consumer group that reads a stream behind a place, and the stream if need be. A group that is there already
// stays as it is. Like Ack, it goes on over new connections until the outcome is known.
func (c *Client) CreateGroup(ctx context.Context, group string, at Cursor) error {
	after := at.after.String()
	if at.now {
		after = "$"
	}
	err := c.repeatCommand(ctx, "XGROUP", "CREATE", at.stream, group, after, "MKSTREAM")
	serverErr := (*Error)(nil)
	if errors.As(err, &serverErr) && serverErr.Code == CodeBusyGroup {
		return nil
	}
	return err
}

// repeatCommand runs a command that has the same effect twice as once, until its outcome is known, the server refuses it, or ctx ends.
func (c *Client) repeatCommand(ctx context.Context, command ...string) error {
	for attempt := 0; ; attempt++ {
		pipe, err := c.pipeline(ctx)
		refused := err != nil && isPermanent(err)
		if err == nil {
			if err = pipe.run(ctx, command); err == nil {
				return nil
			}
			refused = isRefused(err)
		}
		switch {
		case refused, errors.Is(err, ErrClosed):
			return err
		case !c.pause(ctx, attempt):
			if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
				err = fmt.Errorf("%w: %w", ctx.Err(), err)
			}
			return err
		}
	}
}

// ConsumerOptions are options of a Consumer. The zero value has their defaults.
type ConsumerOptions struct {
	// Count is how many entries are requested at once. They are the consumer's from then on, in whichever order the consumers get on.
	// Default 10.
	Count int
	// ClaimAfter takes entries over that have been pending for so long, by any consumer of the group, this one too: choose more than the
	// work on Count entries takes. Entries that were released come at once. The server needs XREADGROUP with CLAIM: conch, or Redis 8.4.
	// Default 0: none is taken over, and no released one comes.
	ClaimAfter time.Duration
}

// Consumer is one of those that share the entries of a stream. Its methods may be called from any goroutine.
type Consumer struct {
	client              *Client
	stream, group, name string
	options             ConsumerOptions

	mu sync.Mutex // guards held
	// held are the entries that loops have yielded, and that are neither acknowledged nor released.
	held map[EntryID]struct{}
}

// Consumer returns a consumer of a group, which CreateGroup makes. The name is the consumer's own: what it had when its program
// ended is what it begins with.
func (c *Client) Consumer(stream, group, name string, o ConsumerOptions) *Consumer {
	defaultTo(&o.Count, 10)
	return &Consumer{client: c, stream: stream, group: group, name: name, options: o, held: make(map[EntryID]struct{})}
}

// Delivery is an entry that a group has delivered. Fields is empty if the entry was deleted while it was pending: acknowledge it.
type Delivery struct {
	Entry
	// Before is how often the entry was delivered before, and Idle how long it was pending then. Both are those of an entry that was taken
	// over by ClaimAfter; else they are 0.
	Before int
	Idle   time.Duration
}

// All iterates over the entries that the group delivers to the consumer, and waits for those to come. It ends only with an error: that
// of ctx, ErrClosed after Close, the refusal of the server (see Error), or a first connection that failed.
//
// It begins with what is pending for the consumer already, but for entries that a loop has yielded and that are neither acknowledged
// nor released. So each entry comes at least once: after a lost connection All goes on with what the server has delivered and the loop
// has not yielded, and looks for that again after each wait without an entry. It has a connection of its own.
func (k *Consumer) All(ctx context.Context) iter.Seq2[*Delivery, error] {
	return func(yield func(*Delivery, error) bool) {
		if k.options.Count < 0 || k.options.ClaimAfter < 0 {
			yield(nil, invalidOption("Count and ClaimAfter must not be negative: %d, %s", k.options.Count, k.options.ClaimAfter))
			return
		}
		p := &groupPages{consumer: k}
		k.client.iterate(ctx, p, func(_ *Entry, err error) bool {
			if err != nil {
				return yield(nil, err)
			}
			return yield(p.delivery, nil)
		})
	}
}

// Ack acknowledges entries: the group never delivers them again. Entries that are not pending count as acknowledged. It goes on over
// new connections until the outcome is known, the server refuses it, or ctx ends.
func (k *Consumer) Ack(ctx context.Context, ids ...EntryID) error {
	if len(ids) == 0 {
		return nil
	}
	err := k.client.repeatCommand(ctx, appendIDs([]string{"XACK", k.stream, k.group}, ids)...)
	if err == nil {
		k.drop(ids)
	}
	return err
}

// Release gives entries up: they come to the next consumer of the group with ClaimAfter. It is sent once: an error that wraps
// ErrOutcomeUnknown means that they may be released. The server needs XNACK: conch, or Redis 8.8.
func (k *Consumer) Release(ctx context.Context, ids ...EntryID) error {
	if len(ids) == 0 {
		return nil
	}
	pipe, err := k.client.pipeline(ctx)
	if err != nil {
		return err
	}
	err = pipe.run(ctx, appendIDs([]string{"XNACK", k.stream, k.group, "FAIL", "IDS", strconv.Itoa(len(ids))}, ids))
	if err == nil {
		k.drop(ids)
	}
	return err
}

func appendIDs(command []string, ids []EntryID) []string {
	for _, id := range ids {
		command = append(command, id.String())
	}
	return command
}

func (k *Consumer) drop(ids []EntryID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range ids {
		delete(k.held, id)
	}
}

// hold notes an entry that is about to be yielded. It returns false if a loop has yielded it before.
func (k *Consumer) hold(id EntryID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, held := k.held[id]
	k.held[id] = struct{}{}
	return !held
}

// groupPages requests the entries of a consumer by XREADGROUP: first what it has, on each new connection, then what is new.
type groupPages struct {
	consumer *Consumer
	conns    int // so far
	history  bool
	after    EntryID   // of the history
	delivery *Delivery // the last one, for the loop
}

func (p *groupPages) prepare(*conn) error {
	p.conns++
	p.beginHistory()
	return nil
}

func (p *groupPages) beginHistory() { p.history, p.after = true, EntryID{} }

func (p *groupPages) request(o *Options) []string {
	k := p.consumer
	command := []string{"XREADGROUP", "GROUP", k.group, k.name, "COUNT", strconv.Itoa(k.options.Count)}
	if p.history {
		return append(command, "STREAMS", k.stream, p.after.String())
	}
	if claim := k.options.ClaimAfter; claim > 0 {
		command = append(command, "CLAIM", strconv.FormatInt(max(1, claim.Milliseconds()), 10))
	}
	return append(command, "BLOCK", blockTime(o), "STREAMS", k.stream, ">")
}

// read reads the entries of the one stream. The history ends with an empty page.
func (p *groupPages) read(c *conn, head *reply, yield func(*Entry) bool) (more bool, err error) {
	n, err := c.readStreamHead(head, p.consumer.stream)
	if err != nil {
		return false, err
	}
	switch {
	case n > 0:
	case p.history:
		p.history = false
	case p.conns > 1: // what a node of a cluster was sent over a lost connection may have taken effect behind the history
		p.beginHistory()
	}
	for range n {
		r, err := c.replies.read()
		if err != nil {
			return false, unexpectedEOF(err)
		}
		d, err := parseDelivery(p.consumer.stream, &r)
		if err != nil {
			return false, err
		}
		if p.history {
			if d.ID.Compare(p.after) <= 0 {
				return false, malformed("the entry %s after %s", d.ID, p.after)
			}
			p.after = d.ID
		}
		if first := p.consumer.hold(d.ID); p.history && !first {
			continue
		}
		p.delivery = d
		if !yield(&d.Entry) {
			return false, nil
		}
	}
	return true, nil
}

// readStreamHead reads up to the entries of a reply about one stream, and returns how many they are. A null is none.
func (c *conn) readStreamHead(head *reply, stream string) (entries int64, err error) {
	switch {
	case head.kind == kindNull:
		return 0, nil
	case (head.kind != kindMap && head.kind != kindArray) || head.integer != 1:
		return 0, malformed("unexpected reply %q to XREADGROUP", head.kind)
	case head.kind == kindArray: // RESP2 has a pair in place of a map
		pair, err := c.replies.readHead()
		if err != nil {
			return 0, unexpectedEOF(err)
		}
		if pair.kind != kindArray || pair.integer != 2 {
			return 0, malformed("unexpected reply %q in the reply to XREADGROUP", pair.kind)
		}
	}
	name, err := c.replies.read()
	if err != nil {
		return 0, unexpectedEOF(err)
	}
	if !name.isText(stream) {
		return 0, malformed("the stream %.60q, which is not read", name.bytes)
	}
	list, err := c.replies.readHead()
	if err != nil {
		return 0, unexpectedEOF(err)
	}
	if list.kind != kindArray {
		return 0, malformed("unexpected reply %q in place of entries", list.kind)
	}
	return list.integer, nil
}

// parseDelivery reads an entry with its id and its fields, and with how long it was pending and how often it was delivered before, if
// the command has CLAIM. An entry that was deleted has no fields.
func parseDelivery(stream string, r *reply) (*Delivery, error) {
	parts := r.elements
	d := new(Delivery)
	if r.kind == kindArray && len(parts) == 4 {
		if !parts[2].isCount() || !parts[3].isCount() {
			return nil, malformed("an entry with %q and %q in place of counts", parts[2].kind, parts[3].kind)
		}
		d.Idle, d.Before = time.Duration(parts[2].integer)*time.Millisecond, int(parts[3].integer)
		parts = parts[:2]
	}
	if r.kind == kindArray && len(parts) == 2 && parts[1].kind == kindNull {
		id, err := ParseEntryID(string(parts[0].bytes))
		if err != nil {
			return nil, malformed("%.60q is not the id of an entry", parts[0].bytes)
		}
		d.Entry = Entry{Stream: stream, ID: id}
		return d, nil
	}
	e, err := parseEntry(stream, &reply{kind: r.kind, elements: parts})
	if err != nil {
		return nil, fmt.Errorf("of a group: %w", err)
	}
	d.Entry = *e
	return d, nil
}
