// Package acl implements users, their passwords and tokens, and the rules about their commands and topics, in the syntax
// of ACL files of Redis 7.2.
//
// # What rules grant here
//
// There are commands, keys, and topics, which Redis calls channels. Rules about commands of Redis alone are parsed, kept
// and listed again, so that existing files work; they grant nothing. Three rules are extensions:
//
//   - %R&glob grants subscribing and %W&glob publishing, as %R~ and %W~ grant reading and writing keys in Redis; &glob
//     and %RW&glob grant both.
//   - A pattern subscription is allowed as in Redis if it equals a granted glob. It is also allowed if both are a literal
//     prefix and one star, and the granted prefix starts it: &orders.* allows PSUBSCRIBE orders.eu.*. Any further
//     comparison of globs would make it hard to see what a rule grants. A grant of * allows every pattern.
//   - A pattern that matches one topic alone, such as orders.eu or what\?, is allowed if that topic is.
//
// As in Redis, the rules of a user and each of its selectors, the rules in parentheses, stand alone: one of them must
// allow the command with all of its keys and topics.
//
// # Ownership
//
// One goroutine owns [Users] and [Log]. The package has no lock, no goroutine and no clock: "now" is an argument. A
// [User] and a [Registry] are immutable, so that any goroutine may read them: a change to a user creates a new one under
// the same name.
//
// Error texts are those of Redis without the code in front, which is NOPERM for a [Denial] and ERR for the rest.
package acl
