package acl

import (
	"fmt"
	"slices"
)

// Reason is the reason of a denial, as in ACL LOG.
type Reason string

// The reasons. If selectors deny for different reasons, the later one in this list counts.
const (
	ReasonCommand Reason = "command" // the user may not run it
	ReasonKey     Reason = "key"     // not with this key
	ReasonChannel Reason = "channel" // not on this topic
	ReasonAuth    Reason = "auth"    // AUTH or HELLO with a wrong password; in the log only
)

// Denial is a command, a key or a topic that the rules of a user do not allow.
type Denial struct {
	Reason Reason
	User   string
	Object string // the full name of the command, or the key or topic
}

// Text is the error text after NOPERM. As in Redis, it names neither key nor topic.
func (r *Denial) Text() string {
	if r.Reason == ReasonCommand {
		return r.Detail()
	}
	return fmt.Sprintf("No permissions to access a %s", r.Reason)
}

// Detail is the reply of ACL DRYRUN.
func (r *Denial) Detail() string {
	if r.Reason == ReasonCommand {
		return fmt.Sprintf("User %s has no permissions to run the '%s' command", r.User, r.Object)
	}
	return fmt.Sprintf("User %s has no permissions to access the '%s' %s", r.User, r.Object, r.Reason)
}

// Keys are the keys that a command uses, and the rights to them that it needs. One that needs neither, such as EXISTS,
// needs a rule that matches the key, whatever it grants.
type Keys struct {
	Names       [][]byte
	Read, Write bool
	// Topics are those of Names that are topics as well: the rights are needed to these, too.
	Topics [][]byte
}

func (k *Keys) needed() (need rights) {
	if k.Read {
		need |= read
	}
	if k.Write {
		need |= write
	}
	return need
}

// Unrestricted reports whether [User.Check] allows the user everything.
func (u *User) Unrestricted() bool {
	return slices.ContainsFunc(u.selectors, func(s selector) bool {
		return s.channels.all && s.keys.all && s.commands.allCommands && s.commands.rules.len() == 0
	})
}

// Check returns nil if the user may run a command with these keys and on all of its topics. args are the arguments after
// the full name. Check does not validate them: a missing argument is no denial.
//
// As in Redis, the denial is the one that came closest: a topic is checked after the keys, and those after the command.
func (u *User) Check(c *Command, args [][]byte, keys Keys) *Denial {
	reason, place := ReasonCommand, -1
	for i := range u.selectors {
		s := &u.selectors[i]
		if !s.commands.allows(c, args) {
			continue
		}
		if denied := s.firstDeniedKey(&keys, u.registry.match); denied >= 0 {
			if reason != ReasonChannel {
				reason, place = ReasonKey, max(place, denied)
			}
			continue
		}
		denied := s.firstDenied(c.access, args, u.registry.match)
		if denied < 0 {
			denied = s.firstDeniedTopic(&keys, u.registry.match)
		}
		if denied < 0 {
			return nil
		}
		if reason != ReasonChannel {
			reason, place = ReasonChannel, -1
		}
		place = max(place, denied)
	}
	d := &Denial{Reason: reason, User: u.name, Object: c.name}
	switch reason {
	case ReasonKey:
		d.Object = string(keys.Names[place])
	case ReasonChannel:
		if len(keys.Topics) > 0 { // a command with keys has no topics among its arguments
			args = keys.Topics
		}
		d.Object = string(args[place])
	}
	return d
}

// firstDeniedKey returns the index of the first key that the selector does not allow, or -1.
func (s *selector) firstDeniedKey(keys *Keys, match func(glob string, name []byte) bool) int {
	if s.keys.all {
		return -1
	}
	return slices.IndexFunc(keys.Names, func(key []byte) bool { return !s.keys.allows(key, keys.needed(), match) })
}

// firstDeniedTopic returns the index of the first key that is a topic which the selector does not allow, or -1.
func (s *selector) firstDeniedTopic(keys *Keys, match func(glob string, name []byte) bool) int {
	if s.channels.all {
		return -1
	}
	return slices.IndexFunc(keys.Topics, func(topic []byte) bool { return !s.channels.allows(topic, keys.needed(), match) })
}

// firstDenied returns the index of the first topic or pattern that the selector does not allow, or -1.
func (s *selector) firstDenied(a access, args [][]byte, match func(glob string, topic []byte) bool) int {
	if s.channels.all {
		return -1
	}
	switch a {
	case publish:
		return slices.IndexFunc(args[:min(len(args), 1)], func(topic []byte) bool {
			return !s.channels.allows(topic, write, match)
		})
	case subscribe:
		return slices.IndexFunc(args, func(topic []byte) bool { return !s.channels.allows(topic, read, match) })
	case subscribePattern:
		return slices.IndexFunc(args, func(glob []byte) bool { return !s.channels.allowsGlob(glob, match) })
	}
	return -1
}

// MaySubscribe reports whether the user may hold a subscription to a topic or a shard topic. The server uses it after a
// change of rules, to close connections with subscriptions that are no longer allowed. As in Redis, the rules about
// topics alone count, not those about commands.
func (u *User) MaySubscribe(topic []byte) bool {
	for i := range u.selectors {
		if u.selectors[i].channels.allows(topic, read, u.registry.match) {
			return true
		}
	}
	return false
}

// MaySubscribePattern is [User.MaySubscribe] for a pattern.
func (u *User) MaySubscribePattern(glob []byte) bool {
	for i := range u.selectors {
		if u.selectors[i].channels.allowsGlob(glob, u.registry.match) {
			return true
		}
	}
	return false
}
