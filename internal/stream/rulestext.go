package stream

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxRules and maxRulesText bound the rules: each new stream is held against them.
	maxRules     = 1000
	maxRulesText = 64 << 10
	// maxAge is a hundred years.
	maxAge = 100 * 365 * 86_400_000
)

// unit is what a number may be of.
type unit struct {
	size  uint64
	names []string // the first is the one that is shown
}

// The units, the largest first.
var (
	ageUnits = []unit{
		{86_400_000, []string{"d"}}, {3_600_000, []string{"h"}}, {60_000, []string{"m"}}, {1000, []string{"s"}}, {1, []string{"ms"}},
	}
	sizeUnits = []unit{
		{1 << 40, []string{"tb", "t", "tib"}}, {1 << 30, []string{"gb", "g", "gib"}}, {1 << 20, []string{"mb", "m", "mib"}},
		{1 << 10, []string{"kb", "k", "kib"}}, {1, []string{"", "b"}},
	}
	oneUnit = []unit{{1, []string{""}}}
)

// ParseRules reads rules of retention from their text: globs with limits, and semicolons or line ends between the rules.
//
//	logs.* age=7d; "a glob" count=1000 bytes=10gb; audit
func ParseRules(text string) (rules []Rule, err error) {
	if len(text) > maxRulesText {
		return nil, fmt.Errorf("%d bytes of rules: expected %d at most", len(text), maxRulesText)
	}
	for {
		if text = strings.TrimLeft(text, " \t\r\n;"); text == "" {
			return rules, nil
		}
		if len(rules) == maxRules {
			return nil, fmt.Errorf("expected %d rules at most; one glob may stand for many names", maxRules)
		}
		var r Rule
		if r.Match, text, err = cutGlob(text); err != nil {
			return nil, err
		}
		var limits string
		limits, text = cutRule(text)
		for _, limit := range strings.Fields(limits) {
			if err := r.set(limit); err != nil {
				return nil, fmt.Errorf("rule %s: %w", quoteGlob(r.Match), err)
			}
		}
		rules = append(rules, r)
	}
}

// cutGlob cuts the glob from the text of a rule.
func cutGlob(text string) (glob, rest string, err error) {
	if text[0] != '"' {
		end := strings.IndexAny(text, " \t\r\n;")
		if end < 0 {
			end = len(text)
		}
		if strings.Contains(text[:end], "=") {
			return "", "", fmt.Errorf("a rule begins with its glob, such as logs.* age=7d, and not with %q; put a glob with = into quotes", cutText(text[:end]))
		}
		return text[:end], text[end:], nil
	}
	quoted, err := strconv.QuotedPrefix(text)
	if err == nil {
		glob, err = strconv.Unquote(quoted)
	}
	if rest = text[len(quoted):]; err != nil || rest != "" && strings.IndexByte(" \t\r\n;", rest[0]) < 0 {
		return "", "", errors.New(`a glob in quotes must end with one, and a blank behind it, such as "a b" age=7d`)
	}
	return glob, rest, nil
}

// cutRule cuts what is up to the end of a rule from a text.
func cutRule(text string) (rule, rest string) {
	if end := strings.IndexAny(text, ";\n"); end >= 0 {
		return text[:end], text[end:]
	}
	return text, ""
}

// set sets a limit from its text, as age=7d.
func (r *Rule) set(text string) error {
	name, value, _ := strings.Cut(text, "=")
	var limit *uint64
	var age uint64
	most, units, example := uint64(1)<<62, oneUnit, "count=1000"
	switch strings.ToLower(name) {
	case "age":
		age = uint64(r.Age)
		limit, most, units, example = &age, maxAge, ageUnits, "age=7d, of ms, s, m, h or d, and a hundred years at most"
	case "count":
		limit = &r.Count
	case "bytes":
		limit, units, example = &r.Bytes, sizeUnits, "bytes=10gb, of kb, mb, gb or tb"
	case "unread":
		limit, units, example = &r.Unread, sizeUnits, "unread=10gb, of kb, mb, gb or tb"
	default:
		return fmt.Errorf("expected age=, count=, bytes= or unread=, not %q", cutText(text))
	}
	if *limit != 0 {
		return fmt.Errorf("%s is given twice", strings.ToLower(name))
	}
	n, ok := parseUnits(strings.ToLower(value), units, most)
	if !ok {
		return fmt.Errorf("expected a whole number from 1 on, such as %s, not %q", example, cutText(text))
	}
	if *limit = n; age > 0 {
		r.Age = int64(age)
	}
	return nil
}

// cutText shortens a text for an error.
func cutText(text string) string {
	if len(text) > 40 {
		return text[:40] + "..."
	}
	return text
}

// parseUnits reads a whole number with its unit.
func parseUnits(text string, units []unit, most uint64) (n uint64, ok bool) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz")
	for _, u := range units {
		if slices.Contains(u.names, text[len(digits):]) {
			n, err := strconv.ParseUint(digits, 10, 64)
			return n * u.size, err == nil && n > 0 && n <= most/u.size
		}
	}
	return 0, false
}

// checkRules checks a text of rules, and returns it in the form of FormatRules.
func checkRules(text string) (string, error) {
	rules, err := ParseRules(text)
	return FormatRules(rules), err
}

// FormatRules returns the text of rules, as ParseRules reads it.
func FormatRules(rules []Rule) string {
	var b strings.Builder
	for i := range rules {
		if i > 0 {
			b.WriteString("; ")
		}
		r := &rules[i]
		b.WriteString(quoteGlob(r.Match))
		for _, limit := range []struct {
			name  string
			value uint64
			units []unit
		}{{"age", uint64(r.Age), ageUnits}, {"count", r.Count, oneUnit}, {"bytes", r.Bytes, sizeUnits}, {"unread", r.Unread, sizeUnits}} {
			if limit.value > 0 {
				b.WriteString(" " + limit.name + "=" + formatUnits(limit.value, limit.units))
			}
		}
	}
	return b.String()
}

// formatUnits writes a number with the largest unit that divides it.
func formatUnits(n uint64, units []unit) string {
	for _, u := range units {
		if n%u.size == 0 {
			return strconv.FormatUint(n/u.size, 10) + u.names[0]
		}
	}
	return strconv.FormatUint(n, 10)
}

// quoteGlob quotes a glob that a blank or a semicolon would end, or that cannot be shown.
func quoteGlob(glob string) string {
	if glob == "" || glob[0] == '"' || strings.ContainsAny(glob, " ;=") || strconv.Quote(glob) != `"`+strings.ReplaceAll(glob, `\`, `\\`)+`"` {
		return strconv.Quote(glob)
	}
	return glob
}

// RuleText is the text of one rule, with limits as they were written, by name.
func RuleText(match string, limits map[string]string) (string, error) {
	r := Rule{Match: match}
	for _, name := range []string{"age", "count", "bytes", "unread"} {
		value, ok := limits[name]
		if !ok {
			continue
		}
		if err := r.set(name + "=" + value); err != nil {
			return "", fmt.Errorf("rule %s: %w", quoteGlob(match), err)
		}
	}
	return FormatRules([]Rule{r}), nil
}
