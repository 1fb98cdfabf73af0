package acl

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// ruleErr is what is wrong with a rule, in Redis' words, which begin with a capital letter.
type ruleErr string

func (f ruleErr) Error() string { return string(f) }

const (
	errUnknown            ruleErr = "Unknown command or category name in ACL"
	errSyntax             ruleErr = "Syntax error"
	errSubcommandFirstArg ruleErr = "Allowing first-arg of a subcommand is not supported"
	errNoPassword         ruleErr = "The password you are trying to remove from the user does not exist"
	errHash               ruleErr = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
	errAllKeys            ruleErr = "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have " +
		"any effect. Try 'resetkeys' to start with an empty list of patterns"
	errAllChannels ruleErr = "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not " +
		"have any effect. Try 'resetchannels' to start with an empty list of channels"
	errUserName ruleErr = "Usernames can't contain spaces or null characters"
	errDefault  ruleErr = "The 'default' user cannot be removed"
)

// RuleError is a rule that ACL SETUSER cannot take.
type RuleError struct {
	Rule string // as it was given; a password's rule quotes the password, so log Why alone
	Err  error
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("Error in ACL SETUSER modifier '%s': %s", e.Rule, e.Err)
}

func (e *RuleError) Unwrap() error { return e.Err }

// ParenthesisError is a selector that does not end.
type ParenthesisError struct{ Start string }

func (e *ParenthesisError) Error() string {
	return fmt.Sprintf("Unmatched parenthesis in acl selector starting at '%s'.", e.Start)
}

// LineError is a line of an ACL file that cannot be taken.
type LineError struct {
	Line int    // from 1
	Word string // the word that is wrong, as logs may show it: see redacted. Bytes of any value, as in the file
	Err  error
}

// FileError is an ACL file that cannot be taken, with everything that is wrong with it. Its text is one line, as the
// answer to ACL LOAD must be.
type FileError struct {
	File  string
	Lines []LineError // at least one
}

func (e *FileError) Error() string {
	return strings.Join(e.Problems(), ". ") +
		". WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
}

// maxProblems are told: a file of another sort is wrong in every line.
const maxProblems = 10

// Problems words what is wrong: the first ten, each with file, line and the beginning of the word, without a full stop;
// then how many more there are. The words may be any bytes: escape them before they reach a terminal.
func (e *FileError) Problems() []string {
	told := e.Lines[:min(len(e.Lines), maxProblems)]
	var faults []string
	for _, l := range told {
		why := strings.TrimSuffix(l.Err.Error(), ".")
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

// redacted is a word of a file, or the words of a selector, as logs may show them: without a password, and without what
// may have been meant as one.
func redacted(word string) string {
	parts := strings.FieldsFunc(word, isSpace)
	for i, part := range parts {
		parts[i] = redactedRule(part)
	}
	return strings.Join(parts, " ")
}

func redactedRule(part string) string {
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

// redactedName is a name from the place of one. What is behind a space in it is not part of a name: in a line parted by
// tabs it may be a password.
func redactedName(word string) string {
	if i := strings.IndexFunc(word, isSpace); i >= 0 {
		word = word[:i] + "..."
	}
	if word != "" && strings.ContainsAny(word[:1], "><#!") {
		return word[:1] + "..."
	}
	return word
}
