package acl

import (
	"fmt"
	"slices"
)

// Reason is why something was refused, in the word of ACL LOG.
type Reason string

// The reasons, the graver one last: if each selector refuses for another one, the last is told.
const (
	ReasonCommand Reason = "command" // the user may not run it
	ReasonChannel Reason = "channel" // not on this topic
	ReasonAuth    Reason = "auth"    // AUTH or HELLO with a wrong password: for the log alone
)

// Denial is what a user may not do.
type Denial struct {
	Reason Reason
	User   string
	Object string // the full name of the command, or the topic
}

// Text is what the peer is told, behind NOPERM. It does not name the topic, as Redis does not.
func (r *Denial) Text() string {
	if r.Reason == ReasonChannel {
		return "No permissions to access a channel"
	}
	return r.Detail()
}

// Detail is what ACL DRYRUN answers.
func (r *Denial) Detail() string {
	if r.Reason == ReasonChannel {
		return fmt.Sprintf("User %s has no permissions to access the '%s' channel", r.User, r.Object)
	}
	return fmt.Sprintf("User %s has no permissions to run the '%s' command", r.User, r.Object)
}

// Unrestricted tells whether [User.Check] refuses the user nothing.
func (u *User) Unrestricted() bool {
	return slices.ContainsFunc(u.selectors, func(s selector) bool {
		return s.channels.all && s.commands.allCommands && s.commands.rules.len() == 0
	})
}

// Check decides about a command with the arguments behind its full name. It returns nil if the user may run it, on
// all of its topics. Whether the arguments are right is not judged, and what is missing is not refused.
func (u *User) Check(c *Command, args [][]byte) *Denial {
	reason, topic := ReasonCommand, -1
	for i := range u.selectors {
		s := &u.selectors[i]
		if !s.commands.allows(c, args) {
			continue
		}
		refused := s.firstDenied(c.access, args, u.registry.match)
		if refused < 0 {
			return nil
		}
		reason, topic = ReasonChannel, max(topic, refused)
	}
	if reason == ReasonCommand {
		return &Denial{Reason: reason, User: u.name, Object: c.name}
	}
	return &Denial{Reason: reason, User: u.name, Object: string(args[topic])}
}

// firstDenied finds the first argument that is a topic out of bounds, or returns -1.
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
		return slices.IndexFunc(args, func(glob []byte) bool { return !s.channels.allowsGlob(glob) })
	}
	return -1
}

// MaySubscribe judges a subscription that exists: when rights shrink, a connection that holds a topic no longer allowed
// is closed. As in Redis, the right to the topic alone counts, not that to the command. It holds for topics and for
// shard topics.
func (u *User) MaySubscribe(topic []byte) bool {
	for i := range u.selectors {
		if u.selectors[i].channels.allowsTopic(topic, read, u.registry.match) {
			return true
		}
	}
	return false
}

// MaySubscribePattern is [User.MaySubscribe] for a glob.
func (u *User) MaySubscribePattern(glob []byte) bool {
	for i := range u.selectors {
		if u.selectors[i].channels.allowsGlob(glob) {
			return true
		}
	}
	return false
}
