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
	ReasonChannel Reason = "channel" // not on this topic
	ReasonAuth    Reason = "auth"    // AUTH or HELLO with a wrong password; in the log only
)

// Denial is a command or a topic that the rules of a user do not allow.
type Denial struct {
	Reason Reason
	User   string
	Object string // the full name of the command, or the topic
}

// Text is the error text after NOPERM. As in Redis, it does not name the topic.
func (r *Denial) Text() string {
	if r.Reason == ReasonChannel {
		return "No permissions to access a channel"
	}
	return r.Detail()
}

// Detail is the reply of ACL DRYRUN.
func (r *Denial) Detail() string {
	if r.Reason == ReasonChannel {
		return fmt.Sprintf("User %s has no permissions to access the '%s' channel", r.User, r.Object)
	}
	return fmt.Sprintf("User %s has no permissions to run the '%s' command", r.User, r.Object)
}

// Unrestricted reports whether [User.Check] allows the user everything.
func (u *User) Unrestricted() bool {
	return slices.ContainsFunc(u.selectors, func(s selector) bool {
		return s.channels.all && s.commands.allCommands && s.commands.rules.len() == 0
	})
}

// Check returns nil if the user may run a command on all of its topics. args are the arguments after the full name. Check
// does not validate them: a missing argument is no denial.
func (u *User) Check(c *Command, args [][]byte) *Denial {
	reason, topic := ReasonCommand, -1
	for i := range u.selectors {
		s := &u.selectors[i]
		if !s.commands.allows(c, args) {
			continue
		}
		denied := s.firstDenied(c.access, args, u.registry.match)
		if denied < 0 {
			return nil
		}
		reason, topic = ReasonChannel, max(topic, denied)
	}
	if reason == ReasonCommand {
		return &Denial{Reason: reason, User: u.name, Object: c.name}
	}
	return &Denial{Reason: reason, User: u.name, Object: string(args[topic])}
}

// firstDenied returns the index of the first topic or pattern that the selector does not allow, or -1.
func (s *selector) firstDenied(a access, args [][]byte, match func(glob string, topic []byte) bool) int {
	if s.channels.all {
		return -1
	}
	switch a {
	case publish:
		return slices.IndexFunc(args[:min(len(args), 1)], func(topic []byte) bool {
			return !s.channels.allowsTopic(topic, write, match)
		})
	case subscribe:
		return slices.IndexFunc(args, func(topic []byte) bool { return !s.channels.allowsTopic(topic, read, match) })
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
		if u.selectors[i].channels.allowsTopic(topic, read, u.registry.match) {
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
