package command

import (
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/aclfile"
	"github.com/conchmq/conch/protocol"
)

// accessControl is who may come in, and what they may do there. It belongs to the core's goroutine, but for what is atomic or
// a channel.
type accessControl struct {
	users          *acl.Users
	log            acl.Log
	denied         deniedCounts
	authFailureLog LogLimiter // for what the log says of wrong passwords
	file           string     // of the rules; empty if there is none

	defaultUserOpen atomic.Bool   // whoever connects is the default user, without a password
	nextTokenExpiry atomic.Int64  // when the next token expires, in Unix seconds; 0 if none does
	hashSlots       chan struct{} // a place for each reader that hashes passwords just now
}

// deniedCounts are what INFO shows of refusals.
type deniedCounts struct{ auth, command, channel int64 }

// aclRule is what is checked for a row of the table.
type aclRule struct {
	command  *acl.Command
	firstArg int // the arguments from here on are the command's own
}

var (
	aclRegistry = newACLRegistry()
	aclRules    = func() []aclRule {
		by := make([]aclRule, len(protocol.Commands))
		for i, row := range protocol.Commands {
			by[i] = aclRule{aclRegistry.Command(row.FullName()), 1 + strings.Count(row.Name, " ")}
		}
		return by
	}()
)

func newACLRegistry() *acl.Registry {
	var present []string
	for _, row := range protocol.Commands {
		present = append(present, row.FullName())
	}
	l, err := acl.NewRegistry(present, broker.Match)
	if err != nil {
		panic(err) // a row was added to the table, and not to the categories
	}
	return l
}

// newAccessControl reads the rules. What the file says about the default user counts more than a password for it.
func newAccessControl(o *Options) (*accessControl, error) {
	a := &accessControl{users: acl.NewUsers(aclRegistry), file: o.ACLFile, hashSlots: make(chan struct{}, runtime.GOMAXPROCS(0))}
	if o.RequirePassword != "" {
		digest := acl.Hash([]byte(o.RequirePassword))
		a.users.RequirePassword(&digest)
		o.RequirePassword = "" // the digest will do
	}
	if a.file != "" {
		if err := aclfile.Load(a.users, a.file, &o.Log); err != nil {
			return nil, err
		}
	}
	a.refresh()
	return a, nil
}

// refresh works out again what other goroutines read.
func (a *accessControl) refresh() {
	u := a.users.Find(acl.DefaultUser)
	a.defaultUserOpen.Store(u.Enabled() && u.NoPassword())
	next, ok := a.users.NextExpiry()
	if !ok {
		a.nextTokenExpiry.Store(0)
		return
	}
	a.nextTokenExpiry.Store(max(1, next.Unix()))
}

// requirepass is what CONFIG GET says of the default user's password: whether there is one. Nobody knows which.
func (a *accessControl) requirepass() string {
	if a.users.Find(acl.DefaultUser).NoPassword() {
		return ""
	}
	return string(redacted)
}

// hash makes the digest of a password on a reader's goroutine. As many as there are processors do so at once: the rest
// wait, so that peers who guess leave something for those who publish.
func (a *accessControl) hash(password []byte) acl.Digest {
	a.hashSlots <- struct{}{}
	defer func() { <-a.hashSlots }()
	return acl.Hash(password)
}
