// Package client publishes to conch and subscribes to it; and to Redis, where Redis has the commands. It needs the
// standard library alone, keeps no global state, and leaves no goroutine behind when what was opened has been closed.
//
//	c, err := client.DialURL(ctx, "conch://user:password@host:8889?sequences=true")
//	published, err := c.Publish(ctx, "orders", payload)
//	sub, err := c.Subscribe(ctx, client.Topic("orders").Where("price > 100"), client.Pattern("news.*"))
//	for event, err := range sub.All(ctx) { … }
//
// # What is guaranteed
//
//  1. A publish that returns without an error was acknowledged: the message has its place in the one order of the
//     server, and was queued to as many subscriptions as it says.
//  2. Nothing is published twice by this package: what was on its way when a connection broke is never sent again. The
//     error then wraps [ErrOutcomeUnknown]. With any other error the message was not published.
//  3. When Subscribe returns, every message published from then on that matches one of the names comes, in the
//     server's order, as long as the connection lasts.
//  4. A [Subscription] whose connection breaks comes back by itself, and subscribes to everything again. Delivery is at
//     most once: what was published meanwhile is missed. That is said by events in the place where it happened:
//     [Disconnected], then [Reconnected], with the two numbers between which something may have been missed where
//     numbers are on; if both are equal, nothing was.
//  5. What the server drops because it was read too slowly is said by [Missed], where the server tells: conch does, in
//     RESP3. Others end the connection, which is said as above.
//  6. A subscription is given up only when it is closed, or when the server says no: a wrong password, no permission, a
//     wrong predicate. Then Next returns the server's answer. Whatever else fails is tried again, with pauses that
//     double and are random, so that not all clients come back in the same instant.
//  7. A server that says nothing is asked by a PING; if it stays silent, the connection counts as lost. A refusal will do:
//     users may lack the right to it.
//
// # Numbers
//
// With Options.Sequences, conch tells each message's place in the one order over all topics, and for how long that order
// holds: the epoch, which is another one after each start of the server. Numbers of a subscription rise, with holes where
// other topics had messages. [InOrder] brings the messages of several subscriptions into their order. Redis and others have
// no numbers; everything else works without.
//
// # Slow readers
//
// A Subscription holds Options.Buffer messages ready. While they are not read, it reads nothing from the server: first
// the sockets' buffers fill, then the server's outbox for this connection, and then the server does with it what it does
// with slow consumers. Publishers do not notice.
//
// # Connections
//
// A [Client] publishes over one connection, and each Subscription has one of its own. Calls of Publish from several
// goroutines share theirs without waiting for each other.
//
// A [Publisher] is for many messages: it has up to 64 connections, does not wait for acknowledgements, and keeps account
// of them. It makes no connection anew: when one breaks, it says which messages are not acknowledged, and leaves what
// becomes of them to the program.
package client
