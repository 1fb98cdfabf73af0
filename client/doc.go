// Package client publishes, subscribes, and keeps entries in streams: on conch, and on Redis with the commands that Redis
// has. It imports only the standard library, keeps no global state, and leaves no goroutine behind once all is closed.
//
//	c, err := client.DialURL(ctx, "conch://user:password@host:8889?sequences=true")
//	published, err := c.Publish(ctx, "orders", payload)
//	sub, err := c.Subscribe(ctx, client.Topic("orders").Where("price > 100"), client.Pattern("news.*"))
//	for event, err := range sub.All(ctx) { … }
//
// # Guarantees
//
//  1. A publish that returns without an error is acknowledged: the message has its position in the server's order, and
//     is queued to as many subscriptions as the acknowledgement counts.
//  2. This package never sends a message twice. An error for a message in flight wraps [ErrOutcomeUnknown]. With any
//     other error the message was not published.
//  3. When Subscribe has returned, all messages that match one of the names arrive in the server's order, for as long
//     as the connection lasts.
//  4. A [Subscription] reconnects and subscribes again. With sequence numbers, and a server that keeps messages, it goes on
//     where it was: [Disconnected], then [Resumed], then each message once. A [Missed] stands where something is no longer
//     kept. Otherwise messages published meanwhile are missed, and [Reconnected] has the range; if that is empty, nothing
//     was. Delivery is at most once in both cases.
//     Subscription.Add and Remove change the names of a live subscription, without a gap for the others.
//  5. [Missed] also reports messages that the server dropped because they were read too slowly. conch reports them in RESP3.
//     Other servers close the connection instead.
//  6. A subscription ends only when it is closed or refused: a wrong password, no permission, a wrong predicate. Next
//     then returns the reply of the server. After any other failure it retries, with pauses that double and are random.
//  7. A silent server is sent a PING, or a HELLO for its sequence; if it stays silent, the connection counts as lost. A refusal proves a
//     live server too, because the user may lack the right.
//
// # Sequence numbers
//
// With Options.Sequences, each message carries its position in the server's order over all topics, and the epoch of that
// order. Each start of the server has a new epoch. The sequence numbers of a subscription ascend, with gaps for messages
// of other topics. [InOrder] merges several subscriptions by sequence. Redis has no sequence numbers; all else works
// without them.
//
// # Positions
//
// [Name.From] and [Name.Last] begin a subscription in the past, with what the server keeps (conch --recent 64MiB). A reconnect
// uses positions by itself, and that of a group again. For the server, a name with a position is a pattern, so a user needs the right to the topic as
// a pattern; without it, a reconnect subscribes to the topic and reports the range that may have been missed. While the
// server replays, sequence numbers ascend over 1,000 names at once, and over each name.
//
// # Streams
//
//	id, err := c.Append(ctx, "orders", []client.Field{{Name: "price", Value: "120"}}, client.Idempotent("shop 1", "order 17"))
//	for entry, err := range c.Range(ctx, "orders", client.Span{}) { … }
//	for entry, err := range c.Read(ctx, client.After("orders", lastID)) { … }
//
// A stream keeps its entries, and they are read by position. [Client.Append] acknowledges an entry with its [EntryID].
// [Client.Range] iterates over the entries that there are, and [Client.Read] waits for those to come. [Client.Entries] iterates
// over several streams in the one order. All go on behind the last entry when a connection breaks. Guarantees 1 and 2 hold for appends too; with [Idempotent], Append repeats what broke
// off, and the entry is there once. The server needs the stream commands of Redis, and for Idempotent those of Redis 8.6.
//
// # Consumer groups
//
//	err := c.CreateGroup(ctx, "workers", client.After("jobs", client.EntryID{}))
//	consumer := c.Consumer("jobs", "workers", "ann", client.ConsumerOptions{ClaimAfter: time.Minute})
//	for d, err := range consumer.All(ctx) { …; err = consumer.Ack(ctx, d.ID) }
//
// A group shares the entries of a stream among consumers. Each entry comes at least once: until [Consumer.Ack], it is pending for its
// consumer, and comes again to a program that begins as that one, or with ClaimAfter to another one.
//
// # Slow readers
//
// A Subscription buffers Options.Buffer messages. While the buffer is full it reads nothing from the server. The buffers
// of the sockets fill, then the server's outbox, and the server applies its policy for slow consumers. Publishers are
// not slowed down.
//
// # Connections
//
// A [Client] publishes and appends over one connection. Each Subscription has one of its own, and so has each loop over
// Range or Read. Concurrent calls of Publish and Append share theirs without waiting for each other.
//
// With Options.Addresses, or a URL such as conch://a:8889,b:8889,c:8889, connections go to the first of several servers that
// answers, such as the nodes of a cluster. A server that is lost, that refuses with LOADING or CLUSTERDOWN, or that announces
// its end, is left for the next one, or for the one that it names. A subscription goes on there where it was ([Resumed]), if
// that server keeps messages of the same epoch. A message whose outcome is unknown is not sent again there either.
//
// A [Publisher] is for high rates: it has up to 64 connections, does not wait for acknowledgements, and keeps the state
// of each message. When a connection breaks, it returns the unacknowledged messages, and the program decides about
// them. With PublisherOptions.Reconnect it then goes on over a new connection; it never sends a message twice either.
package client
