package command

import (
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/acl"
)

// recheckUsers looks at connections after users have changed, at those of one user if no other has. Who is there no more is
// closed, and so is who listens to what it may not listen to any longer, or came in with a token that is gone. The others
// get their new rights. It is what Redis does; see ACLKillPubsubClientsIfNeeded there. MONITOR counts as listening to
// everything.
//
// Whose user has not changed need not be looked at: authenticate closes who becomes a user that may not hold what the
// connection holds, so at any time everybody may have all that it has.
func (s *Service) recheckUsers(v broker.View, changed ...string) {
	s.access.refresh()
	now := time.Now()
	var affected []*executor
	s.eachClient(func(e *executor) {
		u := e.user // nil if it has sent nothing: it will be judged by what holds when it does
		if u != nil && (len(changed) != 1 || u.Name() == changed[0]) {
			affected = append(affected, e)
		}
	})
	for _, e := range affected {
		if reason := e.recheckUser(now); reason != CloseReasonNone {
			e.evictAfterRequest(v, reason)
		}
	}
}

// evictAfterRequest has the connection closed as soon as the request at hand is done. If that is a transaction, what is left of
// it neither reaches the connection nor, if it is the connection's own, runs.
func (e *executor) evictAfterRequest(v broker.View, reason CloseReason) {
	e.closing = true
	e.removeMonitor()
	v.Evict(e.sub, reason)
}

func (e *executor) recheckUser(now time.Time) CloseReason {
	u := e.service.access.users.Find(e.user.Name())
	switch {
	case u == nil:
		return CloseReasonPermissionRevoked
	case e.token != nil && !u.HasToken(e.token, now):
		return CloseReasonToken
	case u == e.user:
		return CloseReasonNone
	case !e.mayHoldSubscriptions(u):
		return CloseReasonPermissionRevoked
	}
	e.setUser(u)
	return CloseReasonNone
}

// mayHoldSubscriptions tells whether u may have all that the connection is subscribed to, and its MONITOR.
func (e *executor) mayHoldSubscriptions(u *acl.User) bool {
	if e.isMonitor() && !mayMonitor(u) {
		return false
	}
	if u.Unrestricted() {
		return true
	}
	for sub := range e.sub.Subscriptions() {
		name := []byte(sub.Topic())
		if sub.Kind() == broker.Pattern && !u.MaySubscribePattern(name) || sub.Kind() != broker.Pattern && !u.MaySubscribe(name) {
			return false
		}
	}
	return true
}

// expireTokens takes away the tokens whose time has come. The sweeper calls it each second: the core is asked only when
// there is something to do.
func (s *Service) expireTokens(now time.Time) {
	at := s.access.nextTokenExpiry.Load()
	if at == 0 || now.Unix() < at || !s.access.nextTokenExpiry.CompareAndSwap(at, 0) {
		return
	}
	s.tasks.Go(func() {
		s.runOnCore(func(v broker.View) {
			for _, t := range s.access.users.ExpireTokens(time.Now()) {
				s.options.Log.Info().Str("user", t.User).Str("token", t.Token).Msg("token expired")
			}
			s.recheckUsers(v)
		})
	})
}
