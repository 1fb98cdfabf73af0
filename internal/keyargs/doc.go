// Package keyargs parses the arguments of commands about keys and streams. It is pure: no
// state, no clock, no lock.
//
// Each command with options has a struct. Its Parse fills it in from the arguments, with the
// name of the command at index 0, and returns the error that Redis would reply with. The number
// of arguments is right by the command table already. Slices of a struct alias the arguments.
//
// Errors come in the order in which Redis 7.0 finds them, and with its texts. What Redis 8.2 to
// 8.10 added has the texts of its documentation and of its tests.
package keyargs
