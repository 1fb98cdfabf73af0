package acl

import (
	_ "embed" // the table of commands
	"fmt"
	"slices"
	"strings"
)

//go:embed commands.txt
var commandsText string

// categories are in the order of ACL CAT; the index of each is its bit.
var categories = strings.Fields("keyspace read write set sortedset list hash string bitmap hyperloglog geo stream " +
	"pubsub admin fast slow blocking dangerous connection transaction scripting")

// verbs maps verbs of lines to their commands, whose rules and names apply.
var verbs = map[string]string{
	"pub": "publish", "sub": "subscribe", "unsub": "unsubscribe", "psub": "psubscribe", "punsub": "punsubscribe",
	"topics": "pubsub|stats", "who": "pubsub|who", "why": "pubsub|why",
}

// topics lists the commands with topics among their arguments. Unsubscribing needs no permission.
var topics = map[string]access{
	"publish": publish, "spublish": publish,
	"subscribe": subscribe, "ssubscribe": subscribe, "psubscribe": subscribePattern,
}

// exempt lists the commands that need no rule: without them a client could not change its user. HELP explains how.
var exempt = []string{"auth", "hello", "quit", "reset", "help"}

// access is the use that a command makes of the topics among its arguments.
type access uint8

const (
	noAccess         access = iota
	publish                 // publishes to its first argument
	subscribe               // subscribes to all of its arguments
	subscribePattern        // subscribes to all of its arguments, which are patterns
)

// Command is a command or subcommand that rules can name.
type Command struct {
	name        string // full name, lower case: "client|kill"
	id          int    // its bit in commandBits
	categories  uint32 // bit i stands for categories[i]
	parent      *Command
	subcommands []*Command
	within      *commandBits // the command and its subcommands
	access      access
	implemented bool // a command of this server, not of Redis alone
	exempt      bool // needs no permission
}

// Name is the full name in lower case, "client|kill".
func (c *Command) Name() string { return c.name }

// Categories returns the categories of the command as in COMMAND INFO: "@pubsub", "@fast".
func (c *Command) Categories() []string {
	var out []string
	for i, category := range categories {
		if c.categories&(1<<i) != 0 {
			out = append(out, "@"+category)
		}
	}
	return out
}

// Registry holds the commands and categories that rules can name, and the function that matches globs.
type Registry struct {
	commands []*Command
	byName   map[string]*Command
	within   map[uint32]*commandBits // by the bit of a category: its commands with their subcommands
	match    func(glob string, topic []byte) bool
}

// NewRegistry returns the registry of a server that implements these commands. Names are full and in lower case,
// "client" as well as "client|kill". It fails if one of them has no categories in commands.txt.
func NewRegistry(implemented []string, match func(glob string, topic []byte) bool) (*Registry, error) {
	r := &Registry{byName: make(map[string]*Command), match: match}
	for line := range strings.Lines(commandsText) {
		if !strings.HasPrefix(line, "#") {
			r.add(strings.Fields(line))
		}
	}
	r.linkCommands()
	for verb, name := range verbs {
		r.byName[verb] = r.byName[name]
	}
	for _, name := range implemented {
		c := r.byName[name]
		if c == nil {
			return nil, fmt.Errorf("command %q has no ACL categories", name)
		}
		c.implemented = true
	}
	return r, nil
}

// add adds one line of commands.txt, which lists containers before their subcommands.
func (r *Registry) add(line []string) {
	name := line[0]
	c := &Command{
		name: name, id: len(r.commands), access: topics[name], exempt: slices.Contains(exempt, name),
	}
	for _, category := range line[1:] {
		c.categories |= categoryBit(category)
	}
	if parent, _, ok := strings.Cut(name, "|"); ok {
		c.parent = r.byName[parent]
		c.parent.subcommands = append(c.parent.subcommands, c)
	}
	r.commands = append(r.commands, c)
	r.byName[name] = c
}

// linkCommands computes the commands that each rule covers.
func (r *Registry) linkCommands() {
	r.within = make(map[uint32]*commandBits)
	for i := range categories {
		r.within[1<<i] = new(commandBits)
	}
	for _, c := range r.commands {
		c.within = new(commandBits)
		for _, below := range append(slices.Clone(c.subcommands), c) {
			c.within.add(below)
			for bit, all := range r.within {
				if c.categories&bit != 0 {
					all.add(below)
				}
			}
		}
	}
}

// Command returns a command by its full name, or nil. It ignores letter case. A verb of lines returns the command that it
// stands for.
func (r *Registry) Command(name string) *Command { return r.byName[Lower(name)] }

// Categories returns all categories in the order of ACL CAT.
func (r *Registry) Categories() []string { return slices.Clone(categories) }

// Cat returns the implemented commands of a category, sorted: the reply to ACL CAT.
func (r *Registry) Cat(category string) ([]string, error) {
	bit := categoryBit(Lower(category))
	if bit == 0 {
		return nil, ruleErr(fmt.Sprintf("Unknown category '%.128s'", category))
	}
	out := []string{}
	for _, c := range r.commands {
		if c.implemented && c.categories&bit != 0 {
			out = append(out, c.name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// categoryBit returns the bit of a category, or 0.
func categoryBit(category string) uint32 {
	if i := slices.Index(categories, category); i >= 0 {
		return 1 << i
	}
	return 0
}

// Lower converts ASCII letters only, as in Redis: other bytes have any encoding.
//
// strings.ToLower and bytes.EqualFold disagree about a word such as one with an İ in it. A
// password behind an option that one of them overlooks would be shown in the log.
func Lower[T ~string | ~[]byte](word T) string {
	b := []byte(string(word))
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}
