package acl

import (
	"fmt"
	"strings"
)

// fault is what is wrong with a rule, in Redis' words, which begin with a capital letter.
type fault string

func (f fault) Error() string { return string(f) }

const (
	errUnknown    fault = "Unknown command or category name in ACL"
	errSyntax     fault = "Syntax error"
	errFirstBelow fault = "Allowing first-arg of a subcommand is not supported"
	errNoPassword fault = "The password you are trying to remove from the user does not exist"
	errHash       fault = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
	errAllKeys    fault = "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have " +
		"any effect. Try 'resetkeys' to start with an empty list of patterns"
	errAllChannels fault = "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not " +
		"have any effect. Try 'resetchannels' to start with an empty list of channels"
	errUserName fault = "Usernames can't contain spaces or null characters"
	errDefault  fault = "The 'default' user cannot be removed"
)

// RuleError is a rule that ACL SETUSER cannot take.
type RuleError struct {
	Rule string // as it was given; a password's rule quotes the password, so log Why alone
	Why  error
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("Error in ACL SETUSER modifier '%s': %s", e.Rule, e.Why)
}

func (e *RuleError) Unwrap() error { return e.Why }

// ParenthesisError is a selector that does not end.
type ParenthesisError struct{ Start string }

func (e *ParenthesisError) Error() string {
	return fmt.Sprintf("Unmatched parenthesis in acl selector starting at '%s'.", e.Start)
}

// LineError is a line of an ACL file that cannot be taken.
type LineError struct {
	Line int    // from 1
	Word string // the word that is wrong; of a password or a hash only the first byte is kept
	Why  error
}

// FileError is an ACL file that cannot be taken, with everything that is wrong with it. Its text is one line, as the
// answer to ACL LOAD must be.
type FileError struct {
	File  string
	Lines []LineError // at least one
}

func (e *FileError) Error() string {
	var b strings.Builder
	for _, line := range e.Lines {
		fmt.Fprintf(&b, "%s:%d: '%s': %s. ", e.File, line.Line, line.Word, strings.TrimSuffix(line.Why.Error(), "."))
	}
	b.WriteString("WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
	return b.String()
}

// blurred is a word of a file, or the words of a selector, as logs may show them: without a password, and without what
// may have been meant as one.
func blurred(word string) string {
	parts := strings.Split(word, " ")
	for i, part := range parts {
		if at := strings.IndexAny(part, "><#!"); at == 0 || at == 1 && part[0] == '(' {
			parts[i] = part[:at+1] + "..."
		}
	}
	return strings.Join(parts, " ")
}
