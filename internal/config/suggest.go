package config

import "strings"

// suggestSetting names the setting that was probably meant, with its prefix; nothing if none comes near.
func suggestSetting(prefix, name string) string {
	names := make([]string, len(settingsTable))
	for i := range settingsTable {
		names[i] = settingsTable[i].Name
	}
	return Suggest(prefix, name, names)
}

// Suggest names the one of names that was probably meant, with a prefix; nothing if none comes near.
func Suggest(prefix, name string, names []string) string {
	name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	best, distance := "", 1+len(name)/3
	for _, known := range names {
		if d := edits(name, known); d <= distance {
			best, distance = known, d-1
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + prefix + best + "?)"
}

// edits counts the bytes to change, add or leave out to make b of a.
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
