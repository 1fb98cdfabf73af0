package config

import (
	"cmp"
	"strings"
)

// tablePlace is where a table stands in a file, for errors: the TOML library keeps no places. Lines and columns count from 1; 0 is unknown.
type tablePlace struct {
	line int // of [[name]]
	keys map[string]keyPlace
}

// keyPlace is where a key and its value begin.
type keyPlace struct{ line, key, value int }

// compare sorts keys as they stand in the file.
func (p tablePlace) compare(a, b string) int {
	x, y := p.keys[a], p.keys[b]
	return cmp.Or(cmp.Compare(x.line, y.line), strings.Compare(a, b))
}

// find is the place of a column in the value of a key; of the key itself if column is 0; of the table if it lacks the key.
func (p tablePlace) find(key string, column int) (line, at int) {
	k, ok := p.keys[key]
	switch {
	case !ok:
		return p.line, 1
	case column == 0:
		return k.line, k.key
	}
	return k.line, k.value + column - 1
}

// findTables finds the tables [[name]] in a text that is valid TOML. It looks at lines, one by one: a text of several lines that looks
// like a table may mislead it, which makes the place of an error wrong and nothing else.
func findTables(text, name string) (places []tablePlace) {
	var current *tablePlace
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "[") {
			current = nil
			head, _, _ := strings.Cut(trimmed, "#")
			if inner, ok := strings.CutPrefix(strings.TrimSpace(head), "[["); ok && strings.TrimSpace(strings.TrimSuffix(inner, "]]")) == name {
				places = append(places, tablePlace{line: i + 1, keys: make(map[string]keyPlace)})
				current = &places[len(places)-1]
			}
			continue
		}
		if key, value, ok := strings.Cut(line, "="); ok && current != nil {
			column := len(key) + 2
			rest := strings.TrimLeft(value, " \t")
			column += len(value) - len(rest)
			for _, quote := range []string{`"""`, `'''`, `"`, `'`} {
				if strings.HasPrefix(rest, quote) {
					column += len(quote)
					break
				}
			}
			bare := strings.TrimSpace(key)
			current.keys[strings.Trim(bare, `"'`)] = keyPlace{line: i + 1, key: strings.Index(line, bare) + 1, value: column}
		}
	}
	return places
}
