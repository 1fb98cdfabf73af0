// Package broker is the core of conch: one goroutine that owns every topic, every pattern and every subscriber.
//
// # The contract
//
// Tests quote these clauses by number.
//
//  1. A publish takes effect at one instant: when the core applies it. All publishes form one sequence, across all
//     topics and all connections. A message's sequence number is its position in that sequence, counted from 1.
//  2. A subscriber receives exactly the messages of its subscriptions that were published between its subscribe and
//     its unsubscribe, both of which are instants in the same sequence, and it receives them in that sequence. A
//     subscription with a predicate has those messages for which the predicate holds. A subscription that starts in the
//     past gets none in this way until it has joined. Each name of a command has its
//     own instant: it is confirmed there, which may be some time after it was sent if it has a new predicate. A connection
//     that ends leaves its names one after the other. A message that matches k of its subscriptions comes k times,
//     exact ones first, before the next message comes once. Of subscriptions to one name, those without a predicate
//     come first.
//  3. The commands of one connection take effect in the order in which it sent them, and its replies come back in
//     that order. No command of it takes effect between two names of another; commands of other connections may. A
//     transaction is one instant, whatever is in it.
//  4. The reply to a publish counts the subscriptions that the message was queued to, and none whose predicate did not
//     hold, or that has not joined. A publisher that is itself subscribed gets the reply to each publish first, then that message, then the
//     reply to its next publish. An answered PING means that everything before it has been queued.
//  5. No connection waits for a subscriber. Each connection has one bounded outbox. A subscriber that overflows it is
//     evicted, with all that is queued for it and the message at hand, or loses messages if its policy is to drop. A
//     publisher is slowed only by a busy core, by not reading its own replies, by the predicates on what it publishes,
//     or, with a large command, by clients holding too much memory. A SUBSCRIBE with a new predicate
//     waits until all publishes whose predicates were evaluated without it have taken effect.
//  6. Lost messages are counted. The subscriber gets their number, at their place, wherever its protocol has a way.
//     Nothing is lost silently: each message that clause 4 counts is delivered, dropped, or undelivered at the end.
//     Messages rejected by a predicate are not losses; they are counted as filtered. Delivery to a subscription is at
//     most once: a connection that is not subscribed at the instant of a publish never gets it. Delivery to a consumer of a
//     group is at least once.
//  7. An append, which adds an entry to a stream, takes effect at one instant of the same sequence as every publish. A
//     publish to a durable topic is one, and an append to its stream is delivered as a message, behind its reply. The
//     reply to an append, each delivery of it, each reply that depends on it, and what is queued behind these for the same
//     connection leave only when the log is as safe as its policy demands. Other connections do not wait. If the log
//     fails, such frames are never written, and their connections end.
//  8. A subscription that starts in the past is confirmed first. It then gets every kept message from there on, each
//     once, in that sequence, and joins at one instant, from which on clause 2 holds: no message is left out between the
//     two, and none comes twice. Messages that are no longer kept are reported at their place, with their number if that
//     is known. On durable topics the kept messages are the entries of the stream, over all starts; what was deleted is
//     no loss, what a limit took is. Other subscriptions and the replies of the connection do not wait for it, but for a moment when it joins.
//  9. An entry that a group delivers belongs to one consumer at a time. It is pending from that instant on, unless the consumer
//     wanted no acknowledgement, until it is acknowledged, or removed with its consumer, its group or its stream. Meanwhile it can
//     be claimed by another consumer, or released. Each of these is an instant of the same sequence and survives what the log
//     survives; a reply with entries leaves only when the log has the delivery, as in clause 7. So a consumer that dies leaves
//     its entries pending, and an entry may be delivered again.
//
// # How it is built
//
// A connection's reader submits a [Batch] of requests, one channel send for each socket read. [Broker.Run] applies
// batches one after the other and replies through the [Conn] of each subscriber. There is no other way in and no other
// way out, so the order in which Run applies requests is the order of everything. A publish brings the verdicts of the
// predicates along, evaluated by an [Index] that the core has handed out. A subscriber with a new predicate is parked until
// every publish knows of it (grace.go). Nothing in this package locks, blocks, logs, reads a clock or knows the wire
// format. State changes only by applying requests in order.
//
// Every Conn method runs on the core's goroutine, so a slow one delays all connections.
package broker
