package acl

import (
	"maps"
	"slices"
	"strings"
)

// commandSet is which commands may be run: a bit for each, and the rules that led there, because Redis shows those
// again instead of working them out of the bits.
type commandSet struct {
	bits   [8]uint64        // by Command.id
	future bool             // began with +@all and so includes what later versions bring; a matter of showing it
	rules  []string         // since the last +@all or -@all, lower case: "+publish", "-@admin"
	firsts map[int][]string // of a command that may not be run: first arguments with which it may, lower case
}

func (s *commandSet) clone() commandSet {
	c := *s
	c.rules = slices.Clone(s.rules)
	c.firsts = maps.Clone(s.firsts)
	return c
}

// allows judges a command with its first argument, if it has one.
func (s *commandSet) allows(c *Command, args [][]byte) bool {
	if c.needless || s.has(c) {
		return true
	}
	return len(args) > 0 && slices.ContainsFunc(s.firsts[c.id], func(first string) bool {
		return lower(string(args[0])) == first
	})
}

func (s *commandSet) has(c *Command) bool { return s.bits[c.id/64]&(1<<(c.id%64)) != 0 }

// everything is +@all or -@all: it forgets all rules before.
func (s *commandSet) everything(allow bool) {
	*s = commandSet{future: allow}
	if allow {
		for i := range s.bits {
			s.bits[i] = ^uint64(0)
		}
	}
}

// category allows or denies all commands of a category, with what is below them.
func (s *commandSet) category(l *Language, category string, allow bool) error {
	bit := categoryBit(category)
	if bit == 0 {
		return errUnknown
	}
	for _, c := range l.commands {
		if c.categories&bit != 0 {
			s.change(c, allow)
		}
	}
	s.note("@"+category, allow)
	return nil
}

// command allows or denies a command with all below it, or allows a first argument: "client", "client|kill", and
// "select|0" where select has nothing below it.
func (s *commandSet) command(l *Language, name string, allow bool) error {
	if c := l.Command(name); c != nil {
		s.change(c, allow)
		s.note(c.name, allow)
		return nil
	}
	name = lower(name)
	i := strings.LastIndexByte(name, '|')
	if i < 0 || !allow {
		return errUnknown
	}
	c, first := l.Command(name[:i]), name[i+1:]
	switch {
	case c == nil:
		return errUnknown
	case c.parent != nil:
		return errFirstBelow
	case first == "":
		return errSyntax
	case c.below != nil:
		return errUnknown
	case hasSpace(first):
		return errSyntax // Redis takes it, and cannot read the file that it then writes
	}
	s.allowFirst(c, first)
	return nil
}

func (s *commandSet) allowFirst(c *Command, first string) {
	if s.firsts == nil {
		s.firsts = make(map[int][]string)
	}
	if !slices.Contains(s.firsts[c.id], first) {
		s.firsts[c.id] = append(slices.Clip(s.firsts[c.id]), first) // clipped, because users share it
	}
	s.note(c.name+"|"+first, true)
}

func (s *commandSet) change(c *Command, allow bool) {
	bit := uint64(1) << (c.id % 64)
	s.bits[c.id/64] &^= bit
	if allow {
		s.bits[c.id/64] |= bit
	}
	delete(s.firsts, c.id)
	for _, sub := range c.below {
		s.change(sub, allow)
	}
}

// note keeps a rule, and drops those that it overrules: about the same name, or about what is below it.
func (s *commandSet) note(name string, allow bool) {
	s.rules = slices.DeleteFunc(s.rules, func(rule string) bool {
		return rule[1:] == name || strings.HasPrefix(rule[1:], name+"|")
	})
	sign := "-"
	if allow {
		sign = "+"
	}
	s.rules = append(s.rules, sign+name)
}

// String gives the rules that lead here, "-@all +@pubsub": what ACL GETUSER calls commands.
func (s *commandSet) String() string {
	first := "-@all"
	if s.future {
		first = "+@all"
	}
	return strings.Join(append([]string{first}, s.rules...), " ")
}
