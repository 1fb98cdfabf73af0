package config

import (
	"fmt"

	"github.com/conchmq/conch/internal/stream"
)

// retentionTables is the text of rules that stand in tables of the file, one for each; ok is false if the value is something else.
func retentionTables(value any) (text string, ok bool, err error) {
	if _, isTable := value.(map[string]any); isTable {
		return "", true, fmt.Errorf("expected a table for each rule, in two pairs of brackets: [[%s]]", retention)
	}
	tables, ok := asTables(value)
	if !ok {
		return "", false, nil
	}
	for i, table := range tables {
		rule, err := retentionTable(table)
		if err != nil {
			return "", true, fmt.Errorf("table %d: %w", i+1, err)
		}
		if i > 0 {
			text += "; "
		}
		text += rule
	}
	return text, true, nil
}

// asTables are the tables of an array, in two pairs of brackets or within one line.
func asTables(value any) (tables []map[string]any, ok bool) {
	switch list := value.(type) {
	case []map[string]any:
		return list, true
	case []any:
		for _, element := range list {
			table, ok := element.(map[string]any)
			if !ok {
				return nil, false
			}
			tables = append(tables, table)
		}
		return tables, true
	}
	return nil, false
}

func retentionTable(table map[string]any) (rule string, err error) {
	match, ok := table["match"].(string)
	if !ok {
		return "", fmt.Errorf("expected a match, the glob of names, such as match = %q", "logs.*")
	}
	limits := make(map[string]string)
	for name, value := range table {
		switch name {
		case "match":
		case "age", "count", "bytes", "unread":
			if limits[name], err = plain(value); err != nil {
				return "", fmt.Errorf("%s: %w", name, err)
			}
		default:
			return "", fmt.Errorf("unknown key %s: expected match, age, count, bytes or unread", QuoteIfNeeded(name))
		}
	}
	return stream.RuleText(match, limits)
}
