// Package acl says who may do what: users with passwords and tokens, and what they may run and on which topics, in the
// language of Redis' ACL files as its version 7.2 reads them.
//
// # What rules grant here
//
// There are commands and topics, which Redis calls channels, and no keys. Rules about keys and about commands that
// only Redis has are read, kept and shown again, so that existing files work; they grant nothing. Two things are new:
//
//   - %R&glob and %W&glob grant listening and publishing apart, as %R~ and %W~ do for keys in Redis; &glob and %RW&glob
//     grant both.
//   - A glob subscription is allowed where Redis allows it, which is where it equals a granted glob, and also when both
//     are a literal prefix and one star and the granted prefix begins it: &orders.* allows PSUBSCRIBE orders.eu.*.
//     Nothing cleverer, because nobody could tell what it grants. Who may listen to * may listen to every glob.
//
// As in Redis a user's own rules and each of its selectors, the rules in parentheses, stand alone: one of them must
// allow the command and all of its topics.
//
// # Who owns it
//
// [Users] and [Log] belong to one goroutine: nothing here locks, starts anything or reads a clock, "now" is an
// argument. A [User] and a [Registry] never change, so that they may be handed to others: a change to a user makes a
// new one under the same name.
//
// Texts of errors are Redis', without the code in front, which is NOPERM for a [Denial] and ERR for the rest.
package acl
