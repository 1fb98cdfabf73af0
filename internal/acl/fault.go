package acl

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
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
	Word string // the word that is wrong, as logs may show it: see blurred. Bytes of any value, as in the file
	Why  error
}

// FileError is an ACL file that cannot be taken, with everything that is wrong with it. Its text is one line, as the
// answer to ACL LOAD must be.
type FileError struct {
	File  string
	Lines []LineError // at least one
}

func (e *FileError) Error() string {
	return strings.Join(e.Faults(), ". ") +
		". WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
}

// mostFaults are told: a file of another sort is wrong in every line.
const mostFaults = 10

// Faults words what is wrong: the first ten, each with file, line and the beginning of the word, without a full stop;
// then how many more there are. The words may be any bytes: escape them before they reach a terminal.
func (e *FileError) Faults() []string {
	told := e.Lines[:min(len(e.Lines), mostFaults)]
	var faults []string
	for _, l := range told {
		why := strings.TrimSuffix(l.Why.Error(), ".")
		faults = append(faults, fmt.Sprintf("%s:%d: '%.128s': %.256s", e.File, l.Line, l.Word, why))
	}
	if more := len(e.Lines) - len(told); more > 0 {
		faults = append(faults, fmt.Sprintf("and %d more", more))
	}
	return faults
}

// keywords are the words of a file that have no sign in front. Any other word without one may be a password.
var keywords = strings.Fields("user token on off nopass resetpass reset clearselectors sanitize-payload " +
	"skip-sanitize-payload allkeys resetkeys allchannels resetchannels allcommands nocommands")

// blurred is a word of a file, or the words of a selector, as logs may show them: without a password, and without what
// may have been meant as one.
func blurred(word string) string {
	parts := strings.FieldsFunc(word, isSpace)
	for i, part := range parts {
		parts[i] = blurredRule(part)
	}
	return strings.Join(parts, " ")
}

func blurredRule(part string) string {
	rule := strings.TrimPrefix(part, "(")
	open := part[:len(part)-len(rule)]
	bare := strings.TrimSuffix(rule, ")")
	switch {
	case bare == "", strings.ContainsAny(bare[:1], "+-&~%"), slices.Contains(keywords, lower(bare)):
		return part
	case strings.ContainsAny(bare[:1], "><#!"):
		return open + bare[:1] + "..."
	}
	return open + fmt.Sprintf("(a word of %d letters, not shown)", utf8.RuneCountInString(rule))
}

// blurredName is a name from the place of one. What is behind a space in it is not part of a name: in a line parted by
// tabs it may be a password.
func blurredName(word string) string {
	if i := strings.IndexFunc(word, isSpace); i >= 0 {
		word = word[:i] + "..."
	}
	if word != "" && strings.ContainsAny(word[:1], "><#!") {
		return word[:1] + "..."
	}
	return word
}
