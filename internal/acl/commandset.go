package acl

import (
	"maps"
	"math/bits"
	"slices"
	"strings"
)

// commandSet is the set of allowed commands: a bit for each, and the rules that produced the bits. ACL LIST shows the rules
// as given, as in Redis, so that they cannot be derived from the bits.
type commandSet struct {
	bits          commandBits
	allCommands   bool                        // starts with +@all, which includes commands of later versions; for String
	rules         list[string, bool]          // after the last +@all or -@all, lower case: publish, @admin; true allows
	subRules      map[string][]string         // by command: the rules about its subcommands
	firstArgs     map[int]map[string]struct{} // by denied command: first arguments with which it is allowed, lower case
	withFirstArgs commandBits                 // the commands in firstArgs
}

// commandBits is a set of commands, by Command.id.
type commandBits [8]uint64

func (b *commandBits) has(c *Command) bool { return b[c.id/64]&(1<<(c.id%64)) != 0 }
func (b *commandBits) add(c *Command)      { b[c.id/64] |= 1 << (c.id % 64) }

func (s *commandSet) clone() commandSet {
	c := *s
	c.rules = s.rules.clone()
	c.subRules, c.firstArgs = maps.Clone(s.subRules), maps.Clone(s.firstArgs)
	for name, rules := range c.subRules {
		c.subRules[name] = slices.Clone(rules)
	}
	for id, firsts := range c.firstArgs {
		c.firstArgs[id] = maps.Clone(firsts)
	}
	return c
}

// allows reports whether the set allows a command, or the command with its first argument.
func (s *commandSet) allows(c *Command, args [][]byte) bool {
	if c.exempt || s.bits.has(c) {
		return true
	}
	firsts := s.firstArgs[c.id]
	if len(firsts) == 0 || len(args) == 0 {
		return false
	}
	_, found := firsts[Lower(string(args[0]))]
	return found
}

// setAll applies +@all or -@all, which drops all rules before.
func (s *commandSet) setAll(allow bool) {
	*s = commandSet{allCommands: allow}
	if allow {
		for i := range s.bits {
			s.bits[i] = ^uint64(0)
		}
	}
}

// category allows or denies all commands of a category with their subcommands.
func (s *commandSet) category(reg *Registry, category string, allow bool) error {
	bit := categoryBit(category)
	if bit == 0 {
		return errUnknown
	}
	s.change(reg.within[bit], allow)
	s.addRule("@"+category, allow)
	return nil
}

// command allows or denies a command with its subcommands, or allows a first argument: "client", "client|kill", and
// "select|0", because select has no subcommands.
func (s *commandSet) command(reg *Registry, name string, allow bool) error {
	if c := reg.Command(name); c != nil {
		s.change(c.within, allow)
		s.addRule(c.name, allow)
		return nil
	}
	name = Lower(name)
	i := strings.LastIndexByte(name, '|')
	if i < 0 || !allow {
		return errUnknown
	}
	c, first := reg.Command(name[:i]), name[i+1:]
	switch {
	case c == nil:
		return errUnknown
	case c.parent != nil:
		return errSubcommandFirstArg
	case first == "":
		return errSyntax
	case c.subcommands != nil:
		return errUnknown
	case hasSpace(first):
		return errSyntax // Redis accepts it, and then writes a file that it cannot read
	}
	s.allowFirstArg(c, first)
	return nil
}

func (s *commandSet) allowFirstArg(c *Command, first string) {
	if s.firstArgs[c.id] == nil {
		if s.firstArgs == nil {
			s.firstArgs = make(map[int]map[string]struct{})
		}
		s.firstArgs[c.id] = make(map[string]struct{})
		s.withFirstArgs.add(c)
	}
	s.firstArgs[c.id][first] = struct{}{}
	s.addRule(c.name+"|"+first, true)
}

// change allows or denies commands and drops the rules about their first arguments.
func (s *commandSet) change(these *commandBits, allow bool) {
	for w, word := range these {
		s.bits[w] &^= word
		if allow {
			s.bits[w] |= word
		}
		for rest := s.withFirstArgs[w] & word; rest != 0; rest &= rest - 1 {
			delete(s.firstArgs, w*64+bits.TrailingZeros64(rest))
		}
		s.withFirstArgs[w] &^= word
	}
}

// addRule records a rule and drops those that it overrides: about the same name or its subcommands.
func (s *commandSet) addRule(name string, allow bool) {
	for _, below := range s.subRules[name] {
		s.rules.remove(below)
	}
	delete(s.subRules, name)
	parent, _, below := strings.Cut(name, "|")
	if again := s.rules.remove(name); below && !again {
		if s.subRules == nil {
			s.subRules = make(map[string][]string)
		}
		s.subRules[parent] = append(s.subRules[parent], name)
	}
	*s.rules.getOrAdd(name) = allow
}

// String returns the rules, "-@all +@pubsub": the commands field of ACL GETUSER.
func (s *commandSet) String() string {
	first := "-@all"
	if s.allCommands {
		first = "+@all"
	}
	words := []string{first}
	for _, rule := range s.rules.items {
		sign := "-"
		if rule.value {
			sign = "+"
		}
		words = append(words, sign+rule.key)
	}
	return strings.Join(words, " ")
}
