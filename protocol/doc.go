// Package protocol turns bytes into commands and answers into bytes. It is pure: no goroutine, no socket, no clock.
//
// # Two dialects on one connection
//
// The first byte of each command decides. '*' is a RESP array of bulk strings, as every Redis client library sends.
// Anything else is a line, ended by LF or CRLF, as a person types it. The two may alternate.
//
//	command  = resp | line
//	resp     = "*" count CRLF { "$" length CRLF bytes CRLF }
//	line     = verb-line | inline
//	verb     = PUB | SUB | UNSUB | PSUB | PUNSUB | HELP        (in any letter case)
//
// A line that starts with a verb is conch's own: what follows the topic and one space is the message, as it stands,
// quotes and all. Any other line is an inline command as Redis knows it, with Redis' shell-like quoting, and is
// answered in RESP.
//
// Telnet's own sequences (RFC 854: IAC commands, negotiations, subnegotiations) are skipped in lines, and IAC IAC is
// one byte 0xFF; inside RESP every byte is what it is.
//
// # Errors
//
// A wrong verb line or a wrong argument is answered and costs nothing ([Error], not fatal). Bytes that leave it unknown
// where the next command starts are fatal: one error in Redis' words, then the connection is closed.
package protocol
