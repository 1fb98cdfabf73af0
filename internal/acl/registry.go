package acl

import (
	_ "embed" // the table of commands
	"fmt"
	"slices"
	"strings"
)

//go:embed commands.txt
var commandsText string

// categories stand in the order of ACL CAT; each has the bit of its place.
var categories = strings.Fields("keyspace read write set sortedset list hash string bitmap hyperloglog geo stream " +
	"pubsub admin fast slow blocking dangerous connection transaction scripting")

// verbs are judged, named and refused as the commands of Redis that they stand for.
var verbs = map[string]string{
	"pub": "publish", "sub": "subscribe", "unsub": "unsubscribe", "psub": "psubscribe", "punsub": "punsubscribe",
	"topics": "pubsub|stats", "who": "pubsub|who",
}

// topics says which commands have topics among their arguments. Leaving one needs no right to it.
var topics = map[string]access{
	"publish": publish, "spublish": publish,
	"subscribe": subscribe, "ssubscribe": subscribe, "psubscribe": subscribePattern,
}

// exempt are the commands for which no rule is asked: who could not run them could not become somebody else. HELP
// is among them because it says how.
var exempt = []string{"auth", "hello", "quit", "reset", "help"}

// access is what a command does with the topics among its arguments.
type access uint8

const (
	noAccess         access = iota
	publish                 // to its first argument
	subscribe               // to all of its arguments
	subscribePattern        // to what matches any of its arguments
)

// Command is a command that rules can name.
type Command struct {
	name        string // in full, lower case: "client|kill"
	id          int    // its bit in a commandSet
	categories  uint32 // the bit i is for categories[i]
	parent      *Command
	subcommands []*Command
	within      *commandBits // the command and all below it
	access      access
	implemented bool // exists here
	exempt      bool // runs without any right
}

// Name is the full name in lower case, "client|kill", as errors say it.
func (c *Command) Name() string { return c.name }

// Categories returns those of the command as COMMAND INFO lists them: "@pubsub", "@fast".
func (c *Command) Categories() []string {
	var out []string
	for i, category := range categories {
		if c.categories&(1<<i) != 0 {
			out = append(out, "@"+category)
		}
	}
	return out
}

// Registry is what rules are written in: the names of commands and categories, and what a glob matches.
type Registry struct {
	commands []*Command
	byName   map[string]*Command
	within   map[uint32]*commandBits // by the bit of a category: its commands, with what is below them
	match    func(glob string, topic []byte) bool
}

// NewRegistry makes the language for a server that has these commands, named in full and in lower case, "client" as
// well as "client|kill". It fails if one of them has no categories in commands.txt.
func NewRegistry(implemented []string, match func(glob string, topic []byte) bool) (*Registry, error) {
	l := &Registry{byName: make(map[string]*Command), match: match}
	for line := range strings.Lines(commandsText) {
		if !strings.HasPrefix(line, "#") {
			l.add(strings.Fields(line))
		}
	}
	l.linkCommands()
	for verb, name := range verbs {
		l.byName[verb] = l.byName[name]
	}
	for _, name := range implemented {
		c := l.byName[name]
		if c == nil {
			return nil, fmt.Errorf("command %q has no ACL categories", name)
		}
		c.implemented = true
	}
	return l, nil
}

// add takes one line of the table, in which parents stand before what is below them.
func (l *Registry) add(line []string) {
	name := line[0]
	c := &Command{
		name: name, id: len(l.commands), access: topics[name], exempt: slices.Contains(exempt, name),
	}
	for _, category := range line[1:] {
		c.categories |= categoryBit(category)
	}
	if parent, _, ok := strings.Cut(name, "|"); ok {
		c.parent = l.byName[parent]
		c.parent.subcommands = append(c.parent.subcommands, c)
	}
	l.commands = append(l.commands, c)
	l.byName[name] = c
}

// linkCommands works out which commands a rule is about.
func (l *Registry) linkCommands() {
	l.within = make(map[uint32]*commandBits)
	for i := range categories {
		l.within[1<<i] = new(commandBits)
	}
	for _, c := range l.commands {
		c.within = new(commandBits)
		for _, below := range append(slices.Clone(c.subcommands), c) {
			c.within.add(below)
			for bit, all := range l.within {
				if c.categories&bit != 0 {
					all.add(below)
				}
			}
		}
	}
}

// Command finds a command by its full name, in any letter case; a verb of the line dialect gives the command that it
// stands for. It returns nil for what has no name here or in Redis.
func (l *Registry) Command(name string) *Command { return l.byName[lower(name)] }

// Categories returns all of them, in the order of ACL CAT.
func (l *Registry) Categories() []string { return slices.Clone(categories) }

// Cat returns the commands of a category that exist here, as ACL CAT does; their order is alphabetical.
func (l *Registry) Cat(category string) ([]string, error) {
	bit := categoryBit(lower(category))
	if bit == 0 {
		return nil, ruleErr(fmt.Sprintf("Unknown category '%.128s'", category))
	}
	out := []string{}
	for _, c := range l.commands {
		if c.implemented && c.categories&bit != 0 {
			out = append(out, c.name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// categoryBit returns 0 for what is no category.
func categoryBit(category string) uint32 {
	if i := slices.Index(categories, category); i >= 0 {
		return 1 << i
	}
	return 0
}

// lower folds ASCII alone, as Redis does: other bytes may be anything.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}
