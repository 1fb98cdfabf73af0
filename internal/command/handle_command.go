package command

import (
	"slices"
	"strings"
	"sync"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// allCommands is COMMAND. Its reply, like all in this file, is made from protocol.Commands.
func allCommands(w *response) {
	top := topLevelSpecs()
	w.array(len(top))
	for _, row := range top {
		w.buf = append(w.buf, w.entryOf(row)...)
	}
}

// commandInfo is COMMAND INFO [name ...]; an unknown name gets null.
func commandInfo(w *response) {
	names := w.inv.args[2:]
	if len(names) == 0 {
		allCommands(w)
		return
	}
	entries, bytes := make([]string, len(names)), 0
	for i, name := range names {
		if row := protocol.LookupFull(name); row != nil {
			entries[i] = w.entryOf(row)
			bytes += len(entries[i])
		}
	}
	if bytes > maxEntries {
		w.fail(protocol.Errorf("reply would exceed %d bytes: give fewer names", maxEntries))
		return
	}
	w.array(len(names))
	for _, entry := range entries {
		if entry != "" {
			w.buf = append(w.buf, entry...)
		} else if w.executor.version == protocol.RESP3 {
			w.null()
		} else {
			w.buf = append(w.buf, "*-1\r\n"...) // RESP2 has two nulls; an entry is an array
		}
	}
}

// maxEntries bounds the reply of COMMAND INFO: a client may repeat one name many times.
const maxEntries = 1 << 20

// entries are the encoded entries of all commands, by index in protocol.Commands and RESP
// version. They are made once and never change.
var entries = map[protocol.Version]func() []string{
	protocol.RESP2: sync.OnceValue(func() []string { return newEntries(protocol.RESP2) }),
	protocol.RESP3: sync.OnceValue(func() []string { return newEntries(protocol.RESP3) }),
}

func newEntries(v protocol.Version) []string {
	all := make([]string, len(protocol.Commands))
	for i, row := range protocol.Commands {
		w := response{executor: &executor{version: v}}
		w.commandEntry(row)
		all[i] = string(w.buf)
	}
	return all
}

// entryOf is the entry in the client's RESP version.
func (w *response) entryOf(row *protocol.CommandSpec) string {
	return entries[w.executor.version]()[row.Index()]
}

// topLevelSpecs are the commands that are no subcommands.
func topLevelSpecs() []*protocol.CommandSpec {
	var top []*protocol.CommandSpec
	for _, row := range protocol.Commands {
		if !strings.Contains(row.Name, " ") {
			top = append(top, row)
		}
	}
	return top
}

// commandEntry appends the ten elements of one command.
func (w *response) commandEntry(row *protocol.CommandSpec) {
	w.array(10)
	w.text(row.FullName())
	w.integer(int64(row.Arity))
	flags := commandFlags(row)
	w.setHeader(len(flags))
	for _, flag := range flags {
		w.simple(flag)
	}
	first, last, step := 0, 0, 0
	if k := row.Keys; k != nil && k.Keyword == "" && !k.Options {
		first, last, step = k.First, k.Last, 1
	}
	w.integer(int64(first))
	w.integer(int64(last))
	w.integer(int64(step))
	categories := aclRules[row.Index()].command.Categories()
	w.setHeader(len(categories))
	for _, category := range categories {
		w.simple(category)
	}
	w.setHeader(0) // tips
	w.keySpecs(row.Keys)
	subs := row.Subcommands()
	w.array(len(subs))
	for _, sub := range subs {
		w.commandEntry(sub)
	}
}

// keySpecs appends the key specifications of a command: none, or one.
func (w *response) keySpecs(k *protocol.KeySpec) {
	if k == nil {
		w.setHeader(0)
		return
	}
	w.setHeader(1)
	w.mapHeader(3)
	w.text("flags")
	w.setHeader(len(k.Flags))
	for _, flag := range k.Flags {
		w.simple(flag)
	}
	w.text("begin_search")
	if k.Keyword == "" {
		w.searchStep("index")
		w.mapHeader(1)
		w.text("index")
		w.integer(int64(k.First))
	} else {
		w.searchStep("keyword")
		w.mapHeader(2)
		w.text("keyword")
		w.text(k.Keyword)
		w.text("startfrom")
		w.integer(int64(k.First))
	}
	w.text("find_keys")
	if k.Options {
		w.searchStep("unknown")
		w.mapHeader(0)
		return
	}
	w.searchStep("range")
	w.mapHeader(3)
	last, limit := k.Last, 0
	switch {
	case k.Keyword != "":
		limit = 2 // half of what follows the word
	case last >= 0:
		last -= k.First
	}
	for _, field := range []struct {
		name  string
		value int
	}{{"lastkey", last}, {"keystep", 1}, {"limit", limit}} {
		w.text(field.name)
		w.integer(int64(field.value))
	}
}

// searchStep begins one of the two steps of a key specification; its spec follows.
func (w *response) searchStep(kind string) {
	w.mapHeader(2)
	w.text("type")
	w.text(kind)
	w.text("spec")
}

// commandGetkeys is COMMAND GETKEYS command [arg ...].
func commandGetkeys(w *response) {
	cmd := protocol.Command{Args: w.inv.args[2:], Spec: protocol.Lookup(w.inv.args[2])}
	row, err := cmd.Resolve()
	switch {
	case row == nil:
		w.fail(protocol.Errorf("Invalid command specified"))
	case row.Keys == nil:
		w.fail(protocol.Errorf("The command has no key arguments"))
	case err != nil:
		w.fail(protocol.Errorf("Invalid number of arguments specified for command"))
	default:
		names := keysOf(row, cmd.Args).Names
		if len(names) == 0 {
			w.fail(protocol.Errorf("Invalid arguments specified for command"))
			return
		}
		w.array(len(names))
		for _, name := range names {
			w.bulk(name)
		}
	}
}

// commandFlags are Redis' flags. Commands with large replies are not fast.
func commandFlags(row *protocol.CommandSpec) []string {
	if row.Flags != "" {
		return strings.Fields(row.Flags)
	}
	flags := []string{"loading", "stale"}
	if row.Group == "pubsub" {
		flags = append([]string{"pubsub"}, flags...)
	}
	if !row.LargeReply {
		flags = append(flags, "fast")
	}
	return flags
}

func commandCount(w *response) { w.integer(int64(len(topLevelSpecs()))) }

// commandList is COMMAND LIST with its filters: by glob, by ACL category, by module (there are
// none).
func commandList(w *response) {
	args := w.inv.args[2:]
	by, value := "", ""
	switch {
	case len(args) == 0:
		by, value = "PATTERN", "*"
	case len(args) == 3 && strings.EqualFold(string(args[0]), "FILTERBY"):
		by, value = strings.ToUpper(string(args[1])), strings.ToLower(string(args[2]))
	}
	switch by {
	case "PATTERN":
		w.names(func(row *protocol.CommandSpec) bool { return broker.Match(value, []byte(row.FullName())) })
	case "ACLCAT":
		w.names(func(row *protocol.CommandSpec) bool {
			return slices.Contains(aclRules[row.Index()].command.Categories(), "@"+value)
		})
	case "MODULE":
		w.array(0)
	default:
		w.fail(protocol.Errorf("syntax error"))
	}
}

// names appends the names of the commands that match.
func (w *response) names(wanted func(*protocol.CommandSpec) bool) {
	var found []string
	for _, row := range protocol.Commands {
		if wanted(row) {
			found = append(found, row.FullName())
		}
	}
	w.array(len(found))
	for _, name := range found {
		w.text(name)
	}
}
