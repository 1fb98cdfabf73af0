package acl

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// ruleErr is an error of a rule, in Redis' words, which start with a capital letter.
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

// RuleError is an invalid rule of ACL SETUSER.
type RuleError struct {
	Rule string // as given; a password rule contains the password, so log Err alone
	Err  error
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("Error in ACL SETUSER modifier '%s': %s", e.Rule, e.Err)
}

func (e *RuleError) Unwrap() error { return e.Err }

// ParenthesisError is a selector without its closing parenthesis.
type ParenthesisError struct{ Start string }

func (e *ParenthesisError) Error() string {
	return fmt.Sprintf("Unmatched parenthesis in acl selector starting at '%s'.", e.Start)
}

// LineError is an invalid line of an ACL file.
type LineError struct {
	Line int    // from 1
	Word string // the invalid word, redacted; any bytes, as in the file
	Err  error
}

// FileError is an invalid ACL file with all its errors. Its text is one line, because it is the reply to ACL LOAD.
type FileError struct {
	File  string
	Lines []LineError // at least one
}

func (e *FileError) Error() string {
	return strings.Join(e.Problems(), ". ") +
		". WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
}

// maxProblems bounds the errors listed: a file of another format has one in every line.
const maxProblems = 10

// Problems describes the first ten errors, each with file, line and a prefix of the word, without a full stop, and then
// the number of the others. The words may be any bytes: escape them before they reach a terminal.
func (e *FileError) Problems() []string {
	listed := e.Lines[:min(len(e.Lines), maxProblems)]
	var problems []string
	for _, l := range listed {
		text := strings.TrimSuffix(l.Err.Error(), ".")
		problems = append(problems, fmt.Sprintf("%s:%d: '%.128s': %.256s", e.File, l.Line, l.Word, text))
	}
	if more := len(e.Lines) - len(listed); more > 0 {
		problems = append(problems, fmt.Sprintf("and %d more", more))
	}
	return problems
}

// keywords are the words of a file without a sign in front. Any other word without a sign may be a password.
var keywords = strings.Fields("user token on off nopass resetpass reset clearselectors sanitize-payload " +
	"skip-sanitize-payload allkeys resetkeys allchannels resetchannels allcommands nocommands")

// redacted returns a word of a file, or the words of a selector, for logs: without passwords and without words that may
// be mistyped passwords.
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
	case bare == "", strings.ContainsAny(bare[:1], "+-&~%"), slices.Contains(keywords, Lower(bare)):
		return part
	case strings.ContainsAny(bare[:1], "><#!"):
		return open + bare[:1] + "..."
	}
	return open + fmt.Sprintf("(a word of %d letters, not shown)", utf8.RuneCountInString(rule))
}

// redactedName returns the word at the position of a name, for logs, up to its first white space: the rest is no name, and
// in a line separated by tabs it may be a password.
func redactedName(word string) string {
	if i := strings.IndexFunc(word, isSpace); i >= 0 {
		word = word[:i] + "..."
	}
	if word != "" && strings.ContainsAny(word[:1], "><#!") {
		return word[:1] + "..."
	}
	return word
}
