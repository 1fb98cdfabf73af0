// Package filter is the predicate language of subscriptions: what stands behind WHERE in
//
//	SUB orders WHERE price > 100 && region == "eu"
//
// Compile turns the text into a Predicate once; Match holds it against a Message, as often as there are messages. The
// package is pure: no goroutine, no network, no clock, no log.
//
// # Fields
//
// A payload that is a JSON object has fields: price, user.id, user["first-name"], items[0].price. Three names are of
// the message itself: topic and payload, which are text, and size, the bytes of the payload. $env.size reads the JSON
// field of such a name. A payload that is no JSON object (or no UTF-8, or larger or deeper than Limits) has no fields.
// Of two fields with the same name in one object, the first counts.
//
// # Reading
//
// A field that is missing, or is of another type than its operator takes, makes the whole expression Unreadable, which
// is no match: price != 100 does not match a message without a price. What is not evaluated is not read: && and || stop
// when they know, and ?: takes one branch. has(price) asks whether a field is there, and never fails. A JSON null is
// there; x == nil and x != nil ask for it, no other operator takes it.
//
// # Operators
//
// By falling precedence: - (of one number), * / %, + -, then == != < <= > >= in contains startsWith endsWith, all of one
// rank, then && (and), || (or), ?:. The not of one boolean (! or not) binds tighter than * does, so that !a == b is
// (!a) == b. The last four words of comparison may be negated: "x not in [1, 2]". a < b < c is a < b && b < c.
//
// == and != compare numbers, strings or booleans with their like; < <= > >= numbers, or strings byte by byte. in takes
// an array, a literal one or a field; elements of another type than the left side are simply not equal to it.
//
// # Numbers
//
// A number that is whole, however it is written (100, 100.0, 1e2), is an integer of 64 bits if it fits, and exact. Any
// other is a float64, except that digits alone beyond 64 bits, what is beyond a float64, and what is written with more
// than 800 bytes, are no number at all: refused in an expression, Unreadable in a payload. An integer is compared with a
// float exactly. + - * of integers are exact, and Unreadable where they overflow. / of integers is an integer if nothing
// remains, else a float64. % takes integers, and has the sign of its left side. Division by zero is Unreadable, and so
// is what leaves the float64s.
package filter
