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

// accessControl holds the users, their rules, and what was refused. It belongs to the core's
// goroutine, but for fields that are atomic or a channel.
type accessControl struct {
	users  *acl.Users
	log    acl.Log
	denied deniedCounts
	// authFailureLog limits the log lines about wrong passwords.
	authFailureLog LogLimiter
	// changed is set by a change of users, for a cluster, which keeps them.
	changed bool
	// file holds the rules; empty if there is none.
	file string

	// defaultUserOpen is set while a new connection is the default user without a password.
	// Readers and the sweeper read it.
	defaultUserOpen atomic.Bool
	// nextTokenExpiry is when the next token expires, in Unix seconds; 0 if none does.
	nextTokenExpiry atomic.Int64
	// hashSlots has a place for each reader that may hash a password at the same time.
	hashSlots chan struct{}
}

// deniedCounts are the refusals that INFO shows.
type deniedCounts struct{ auth, command, key, channel int64 }

// aclRule is what the rules check for one command specification.
type aclRule struct {
	command *acl.Command
	// firstArg is the index of the first argument after the command's name.
	firstArg int
}

var (
	// aclRegistry and aclRules never change after the start: any goroutine reads them. aclRules
	// is indexed like protocol.Commands.
	aclRegistry = newACLRegistry()
	aclRules    = func() []aclRule {
		by := make([]aclRule, len(protocol.Commands))
		for i, row := range protocol.Commands {
			by[i] = aclRule{aclRegistry.Command(row.FullName()), 1 + strings.Count(row.Name, " ")}
		}
		return by
	}()
)

// newACLRegistry registers every command that conch has. It panics if one is in no ACL
// category, which only a change to the command table can cause.
func newACLRegistry() *acl.Registry {
	var present []string
	for _, row := range protocol.Commands {
		present = append(present, row.FullName())
	}
	l, err := acl.NewRegistry(present, broker.Match)
	if err != nil {
		panic(err)
	}
	return l
}

// newAccessControl reads the rules. The file overrides RequirePassword for the default user.
func newAccessControl(o *Options) (*accessControl, error) {
	a := &accessControl{users: acl.NewUsers(aclRegistry), file: o.ACLFile, hashSlots: make(chan struct{}, runtime.GOMAXPROCS(0))}
	if o.RequirePassword != "" {
		digest := acl.Hash([]byte(o.RequirePassword))
		a.users.RequirePassword(&digest)
		o.RequirePassword = "" // the digest is enough: the password itself does not stay in memory
	}
	if a.file != "" {
		if err := aclfile.Load(a.users, a.file, &o.Log); err != nil {
			return nil, err
		}
	}
	a.refresh()
	return a, nil
}

// refresh recomputes what other goroutines read. It must run after each change of users.
func (a *accessControl) refresh() {
	a.changed = true
	u := a.users.Find(acl.DefaultUser)
	a.defaultUserOpen.Store(u.Enabled() && u.NoPassword())
	next, ok := a.users.NextExpiry()
	if !ok {
		a.nextTokenExpiry.Store(0)
		return
	}
	// 0 means none, so an expiry at the epoch is stored as 1.
	a.nextTokenExpiry.Store(max(1, next.Unix()))
}

// requirepass is the value of CONFIG GET requirepass: empty without a password, else
// "(redacted)". Only a digest is kept.
func (a *accessControl) requirepass() string {
	if a.users.Find(acl.DefaultUser).NoPassword() {
		return ""
	}
	return string(redacted)
}

// TokenUser returns the name of the user with a token, for a client that sends the secret alone.
// It proves nothing: AUTH does.
func (s *Service) TokenUser(secret string) (user string, ok bool) {
	digest := s.access.hash([]byte(secret))
	s.runOnCore(func(broker.View) { user, ok = s.access.users.TokenOwner(digest) })
	return user, ok
}

// MayRun reports for each command whether a user may run it. Keys and topics are not looked at.
func (s *Service) MayRun(user string, commands []string) []bool {
	may := make([]bool, len(commands))
	s.runOnCore(func(broker.View) {
		u := s.access.users.Find(user)
		for i, c := range commands {
			may[i] = u != nil && u.Check(aclRegistry.Command(c), nil, acl.Keys{}) == nil
		}
	})
	return may
}

// hash computes the digest of a password on a reader's goroutine. At most one reader per
// processor hashes at once. Guessed passwords therefore leave time for publishers.
func (a *accessControl) hash(password []byte) acl.Digest {
	a.hashSlots <- struct{}{}
	defer func() { <-a.hashSlots }()
	return acl.Hash(password)
}

// appendRules appends the rules of all users. Tokens are not among them.
func (a *accessControl) appendRules(b []byte) []byte {
	for _, name := range a.users.Names() {
		b = append(append(b, a.users.Find(name).String()...), '\n')
	}
	return b
}
