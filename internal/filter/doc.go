// Package filter implements the predicate language of subscriptions, the text after WHERE in
//
//	SUB orders WHERE price > 100 && region == "eu"
//
// Compile turns the text into a Predicate; Match evaluates it against a Message. The package is pure: no goroutine, no
// network, no clock, no log.
//
// # Fields
//
// A payload that is a JSON object has fields: price, user.id, user["first-name"], items[0].price. Three names belong to
// the message itself: topic and payload, which are strings, and size, the payload's length in bytes. $env.size reads the
// JSON field of such a name. A payload that is no JSON object has no fields; neither has one that is not UTF-8, or larger
// or deeper than Limits. Of two fields with the same name in one object, the first counts.
//
// header("name") is a header of the message: a number if its text is a number of JSON, else a string. Without a Source
// there are none.
//
// # Missing fields and types
//
// A missing field, or one of a type that its operator does not accept, makes the whole expression Unreadable, which is no
// match: price != 100 does not match a message without a price. Only evaluated parts count: && and || stop at the first
// operand that decides, and ?: evaluates one branch. has(price) reports whether a field exists, and is never Unreadable;
// has(header("name")) does the same for a header. A JSON null exists; only x == nil and x != nil accept it.
//
// # Operators
//
// In order of decreasing precedence: unary -, then * / %, then + -, then == != < <= > >= in contains startsWith endsWith
// (all equal), then && (and), || (or), ?:. Negation (! or not) binds tighter than *, so that !a == b is (!a) == b. The
// word operators in, contains, startsWith and endsWith have a negated form: "x not in [1, 2]". a < b < c is
// a < b && b < c.
//
// == and != compare two numbers, two strings or two booleans; < <= > >= two numbers, or two strings byte by byte. in takes
// an array, a literal or a field; elements of another type than the left side are not equal to it.
//
// # Numbers
//
// An integral number in any notation (100, 100.0, 1e2) is an exact 64-bit integer if it fits, any other number a float64.
// Three kinds are no numbers: digits alone beyond 64 bits, values beyond a float64, and numbers of more than 800 bytes.
// An expression with one is an error; in a payload it is Unreadable.
//
// Comparisons of integers with floats are exact. + - * of integers are exact, and Unreadable on overflow. / of integers is
// an integer without a remainder, else a float64. % takes integers and has the sign of its left side. Division by zero
// is Unreadable, and so is a result beyond the float64s.
package filter
