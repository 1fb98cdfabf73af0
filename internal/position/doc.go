// Package position parses the places in the one order at which a subscription can start. Lines, the names of RESP
// subscriptions and the query of a URL share its forms; docs/sequence.md has the table of them.
package position
