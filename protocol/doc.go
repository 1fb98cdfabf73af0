// Package protocol decodes commands from bytes and encodes replies and messages. It is pure: no goroutine, no socket,
// no clock.
//
// # Two dialects on one connection
//
// The first byte of each command selects the dialect. '*' starts a RESP array of bulk strings, as Redis client
// libraries send. Anything else is a line, ended by LF or CRLF, as a person types it. The two may alternate.
//
//	command  = resp | line
//	resp     = "*" count CRLF { "$" length CRLF bytes CRLF }
//	line     = verb-line | inline
//	verb     = PUB | SUB | UNSUB | PSUB | PUNSUB | SLOW | SEQ | TOPICS | WHO | HELP        (in any letter case)
//
// A line that starts with a verb belongs to conch. The message of PUB is everything after the topic and one space,
// quotes included. Any other line is an inline command of Redis, with Redis' shell-like quoting, and gets a RESP reply.
//
// The reader skips telnet sequences in lines (RFC 854: IAC commands, negotiations, subnegotiations); IAC IAC is one
// byte 0xFF. Inside RESP every byte is data.
//
// # Errors
//
// A wrong verb line or a wrong argument gets an error reply, and the connection goes on ([Error], not fatal). Bytes
// after which the start of the next command is unknown are fatal: one error in Redis' words, then the connection closes.
package protocol
