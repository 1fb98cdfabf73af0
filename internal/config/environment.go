package config

import (
	"slices"
	"strings"
)

// others are variables of conch that are no settings: those of the subcommands and of completion.
var others = []string{"CONCH_CONFIG", "CONCH_URL", "CONCH_PASSWORD_FILE", "CONCH_COMPLETE"}

// UnknownVariables finds the variables of an environment (os.Environ) that begin with CONCH_ and mean nothing. A mistyped
// one would silently leave a default in force. Each result has a suggestion, if one is close.
//
// For a service with the name conch, Kubernetes and Docker set CONCH_PORT, CONCH_SERVICE_HOST and the like: those are
// not reported.
func UnknownVariables(environ []string) (unknown []string) {
	known := slices.Clone(others)
	for i := range settingsTable {
		known = append(known, settingsTable[i].Env())
	}
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		switch {
		case !strings.HasPrefix(name, "CONCH_"), slices.Contains(known, name):
		case name == "CONCH_PORT", strings.HasPrefix(name, "CONCH_PORT_"), strings.HasPrefix(name, "CONCH_SERVICE_"):
		default:
			unknown = append(unknown, QuoteIfNeeded(name)+suggestVariable(name, known))
		}
	}
	slices.Sort(unknown)
	return unknown
}

// suggestVariable is Suggest without regard for the prefix that all names share: it would make them all alike.
func suggestVariable(name string, known []string) string {
	var tails []string
	for _, k := range known {
		tails = append(tails, strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(k, "CONCH_"), "_", "-")))
	}
	close := closest(strings.TrimPrefix(name, "CONCH_"), tails)
	if close == "" {
		return ""
	}
	return " (did you mean " + EnvName(close) + "?)"
}
