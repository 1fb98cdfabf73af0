package filter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser/lexer"
)

// maxNesting bounds the depth of brackets and of signs before a value, because the parser recurses.
const maxNesting = 64

// unsupported maps tokens that the parser accepts and predicates do not have to error texts. The compiler rejects the
// constructs missing here, with a less specific text.
var unsupported = map[string]string{
	"matches": "there are no regular expressions in predicates: use contains, startsWith or endsWith",
	"..":      "there are no ranges in predicates: compare with < and <=",
	"??":      "?? is not available in predicates: has(field) asks whether a field is there",
	"?.":      "?. is not available in predicates: has(field) asks whether a field is there",
	"|":       "there are no pipes in predicates: write || for or",
	";":       "a predicate is one expression: join conditions with && or ||",
	"let":     "there are no variables in predicates",
	"if":      "write condition ? this : that",
	"else":    "write condition ? this : that",
	"#":       "# is not available in predicates",
	"##":      "# is not available in predicates",
	"::":      ":: is not available in predicates",
	"**":      "there are no powers in predicates: the operators on numbers are + - * / %",
	"^":       "there are no powers in predicates: the operators on numbers are + - * / %",
	"{":       "there are no maps in predicates; an array is written [1, 2]",
	"=":       "write == to compare",
	"&":       "write && for and",
	"!!":      "write ! once",
}

// scan checks the tokens of an expression before it is parsed: the parser recurses without bounds of its own, and its
// error texts are poor.
func scan(expression string, l Limits) *Error {
	if err := scanBytes(expression, l); err != nil {
		return err
	}
	tokens, err := lexer.Lex(file.NewSource(expression))
	if err != nil {
		return parseError(expression, err)
	}
	for i := range tokens {
		if err := scanToken(tokens, i); err != nil {
			return err
		}
	}
	return scanNesting(tokens)
}

// scanNesting checks that brackets match, and their depth.
func scanNesting(tokens []lexer.Token) *Error {
	var open []lexer.Token
	signs := 0 // adjacent
	for _, t := range tokens {
		if signs++; !t.Is(lexer.Operator, "!", "not", "-", "+") {
			signs = 0
		}
		switch {
		case t.Is(lexer.Bracket, "(", "["):
			open = append(open, t)
		case t.Is(lexer.Bracket):
			if len(open) == 0 || closing[open[len(open)-1].Value] != t.Value {
				return errorAt(t.From, "this %s closes nothing", t.Value)
			}
			open = open[:len(open)-1]
		}
		if len(open)+signs > maxNesting {
			return errorAt(t.From, "this is nested too deeply: %d levels are enough", maxNesting)
		}
	}
	if len(open) > 0 {
		t := open[len(open)-1]
		return errorAt(t.From, "this %s is never closed", t.Value)
	}
	return nil
}

var closing = map[string]string{"(": ")", "[": "]"}

// controlHints maps the usual control characters to error texts with a correction.
var controlHints = map[rune]string{
	'\t': `a tab: write a space, or \t in a string`,
	'\n': `a line break: write a space, or \n in a string`,
	'\r': `a line break: write a space, or \r in a string`,
}

// scanBytes checks length and characters before the lexer runs.
func scanBytes(expression string, l Limits) *Error {
	if len(expression) > l.expression() {
		return errorAt(0, "the expression has %d bytes, and may have %d", len(expression), l.expression())
	}
	place := 0
	for i, r := range expression {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(expression[i:], "\uFFFD"):
			return errorAt(place, "this byte is no UTF-8: 0x%02X", expression[i])
		case r < ' ' && controlHints[r] != "":
			return errorAt(place, "this is %s", controlHints[r])
		case r < ' ' || r == 0x7F || r == '\u0085' || r == '\u2028' || r == '\u2029':
			return errorAt(place, "an expression is one line without control characters, and this is %U", r)
		}
		place++
	}
	if strings.TrimSpace(expression) == "" {
		return errorAt(0, `the expression is empty: write a condition, like price > 100 && region == "eu"`)
	}
	return nil
}

// scanToken checks one token and its neighbors.
func scanToken(tokens []lexer.Token, i int) *Error {
	t := tokens[i]
	switch t.Kind {
	case lexer.Number:
		if _, ok := literal(t.Value); !ok {
			return errorAt(t.From, "%s is not a number, or too large for one", truncate(t.Value))
		}
	case lexer.Bytes:
		return errorAt(t.From, "write a string without the b before it")
	case lexer.Identifier:
		if w := strings.ToLower(t.Value); isWordOperator(w) && (isValue(tokens, i-1) || isValue(tokens, i+1)) {
			return errorAt(t.From, "write %s in small letters", w)
		}
		if isCall(tokens, i) && isName(tokens, i) {
			return errorAt(t.From, "fields have no methods: "+functions)
		}
		if isCall(tokens, i) && t.Value != "has" && t.Value != "header" {
			return errorAt(t.From, "%s() is not available in predicates: %s", truncate(t.Value), functions)
		}
	case lexer.Operator, lexer.Bracket:
		if t.Is(lexer.Operator, "?") && i+1 < len(tokens) && tokens[i+1].Is(lexer.Operator, ":") {
			return errorAt(tokens[i+1].From, "a value is missing between ? and :")
		}
		if text, ok := unsupported[t.Value]; ok && !isName(tokens, i) {
			return errorAt(t.From, "%s", text)
		}
	}
	return nil
}

// isName reports whether a token follows a dot, where let and matches are names of fields too.
func isName(tokens []lexer.Token, i int) bool {
	return i > 0 && tokens[i-1].Is(lexer.Operator, ".", "?.")
}

func isCall(tokens []lexer.Token, i int) bool {
	return i+1 < len(tokens) && tokens[i+1].Is(lexer.Bracket, "(")
}

func isWordOperator(w string) bool { return w == "and" || w == "or" || w == "not" || w == "in" }

// isValue reports whether a token is a value or a bracket next to one. Between two of them an operator is missing.
func isValue(tokens []lexer.Token, i int) bool {
	if i < 0 || i >= len(tokens) {
		return false
	}
	t := tokens[i]
	return t.Is(lexer.Identifier) || t.Is(lexer.Number) || t.Is(lexer.String) || t.Is(lexer.Bracket, ")", "]", "(")
}

// literal parses a number in an expression: decimal, or 0x, 0o, 0b, with _ between digits.
func literal(s string) (value, bool) {
	s = strings.ToLower(strings.ReplaceAll(s, "_", ""))
	if len(s) > 1 && s[0] == '0' && strings.IndexByte("xob", s[1]) >= 0 {
		i, err := strconv.ParseInt(s, 0, 64)
		return intValue(i), err == nil
	}
	return parseNumber(s)
}

// parseError rewords an error of lexer or parser.
func parseError(expression string, err error) *Error {
	var broken *file.Error
	if !errors.As(err, &broken) {
		return errorAt(0, "this cannot be read")
	}
	length := utf8.RuneCountInString(expression)
	tokens, err := lexer.Lex(file.NewSource(expression))
	if err != nil {
		return lexerError(min(broken.From, length), broken.Message)
	}
	if broken.Message == "unexpected token EOF" {
		return errorAt(length, "the expression ends too early")
	}
	for _, t := range tokens {
		if t.From == broken.From {
			return errorAt(t.From, "%s does not belong here: something before it is missing or wrong", tokenText(t))
		}
	}
	return errorAt(min(broken.From, length), "%s", truncate(broken.Message))
}

// lexerError rewords an error of the lexer.
func lexerError(place int, message string) *Error {
	switch message {
	case "literal not terminated":
		return errorAt(place, "this string has no closing quote")
	case "invalid char escape":
		return errorAt(place, `there is no such escape: write \\ for a backslash`)
	}
	if strings.HasPrefix(message, "bad number syntax") {
		return errorAt(place, "this is not a number, and a name cannot begin with a digit")
	}
	return errorAt(place, "%s", truncate(message))
}

func tokenText(t lexer.Token) string {
	if t.Kind == lexer.String {
		return "this string"
	}
	return truncate(t.Value)
}

// truncate shortens a token for an error text to 40 characters.
func truncate(s string) string {
	if r := []rune(s); len(r) > 40 {
		return fmt.Sprintf("%s…", string(r[:40]))
	}
	return s
}
