package command

import (
	"slices"
	"strings"

	"github.com/conchmq/conch/protocol"
)

// commandDocs is COMMAND DOCS, from which redis-cli takes hints and help. Unknown names are
// left out, as in Redis.
func commandDocs(w *response) {
	rows := topLevelSpecs()
	if names := w.inv.args[2:]; len(names) > 0 {
		rows = nil
		for _, name := range names {
			if row := protocol.LookupFull(name); row != nil && !slices.Contains(rows, row) {
				rows = append(rows, row)
			}
		}
	}
	w.docs(rows)
}

// docs appends the documentation of commands and, nested, of their subcommands.
func (w *response) docs(rows []*protocol.CommandSpec) {
	w.mapHeader(len(rows))
	for _, row := range rows {
		w.text(row.FullName())
		subs, words := row.Subcommands(), arguments(row)
		fields := 3
		if len(subs) > 0 {
			fields++
		}
		if len(words) > 0 {
			fields++
		}
		w.mapHeader(fields)
		w.text("summary")
		w.text(row.Summary)
		w.text("since")
		w.text(row.Since)
		w.text("group")
		w.text(row.Group)
		if len(words) > 0 {
			w.text("arguments")
			w.arguments(words)
		}
		if len(subs) > 0 {
			w.text("subcommands")
			w.docs(subs)
		}
	}
}

// argument is one argument in a usage line, as redis-cli shows it.
type argument struct {
	name     string
	optional bool
}

// arguments splits a usage line behind the name, at its outermost brackets.
func arguments(row *protocol.CommandSpec) []argument {
	var found []argument
	rest := strings.TrimSpace(strings.TrimPrefix(row.Usage, row.Name))
	for rest != "" && !row.Container {
		depth, end := 0, len(rest)
		for i, c := range rest {
			switch c {
			case '[', '<':
				depth++
			case ']', '>':
				depth--
			case ' ':
				if depth == 0 && end == len(rest) {
					end = i
				}
			}
		}
		word := rest[:end]
		rest = strings.TrimSpace(rest[end:])
		inner, optional := strings.CutPrefix(word, "[")
		if optional {
			inner = strings.TrimSuffix(inner, "]")
		}
		found = append(found, argument{inner, optional})
	}
	return found
}

// arguments appends the arguments of one command.
func (w *response) arguments(words []argument) {
	w.array(len(words))
	for _, word := range words {
		fields := 3
		if word.optional {
			fields++
		}
		w.mapHeader(fields)
		w.text("name")
		w.text(word.name)
		w.text("type")
		w.text("string")
		w.text("display_text")
		w.text(word.name)
		if word.optional {
			w.text("flags")
			w.array(1)
			w.simple("optional")
		}
	}
}
