package config

import (
	"strings"

	"github.com/conchmq/conch/internal/command"
)

// suggestSetting is Suggest for the names of settings.
func suggestSetting(prefix, name string) string {
	names := make([]string, len(settingsTable))
	for i := range settingsTable {
		names[i] = settingsTable[i].Name
	}
	return Suggest(prefix, name, names)
}

// suggestKey is Suggest for the keys of a file: settings, and the tables of connectors.
func suggestKey(name string) string {
	if hint := suggestSetting("", name); hint != "" {
		return hint
	}
	return Suggest("", name, []string{string(command.Source), string(command.Sink)})
}

// Suggest is a hint at the one of names that was probably meant, or empty if none is close.
func Suggest(prefix, name string, names []string) string {
	if best := closest(name, names); best != "" {
		return " (did you mean " + prefix + best + "?)"
	}
	return ""
}

// closest is the one of names with the fewest edits, or else one that begins name or that name begins. What name begins is closer
// than two edits: comp is completion, not top.
func closest(name string, names []string) (best string) {
	name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	fewest := 2 + len(name)/3
	for _, known := range names {
		if d := edits(name, known); d < fewest {
			best, fewest = known, d
		}
	}
	for _, known := range names {
		switch {
		case min(len(name), len(known)) < 3:
		case strings.HasPrefix(known, name) && fewest > 1, strings.HasPrefix(name, known) && best == "":
			return known
		}
	}
	return best
}

// edits is the Levenshtein distance of a and b, in bytes.
func edits(a, b string) int {
	above := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		corner := above[0]
		above[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost = 1 + min(corner, above[j], above[j+1])
			}
			corner, above[j+1] = above[j+1], cost
		}
	}
	return above[len(b)]
}
