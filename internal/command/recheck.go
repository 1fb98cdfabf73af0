package command

import (
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/acl"
)

// recheckUsers checks connections again after users have changed: those of one user, if no
// other has changed.
//
// A connection is closed if its user was deleted, if its token is gone, or if it holds a
// subscription no longer permitted. The others get their new rules. Redis does the same in
// ACLKillPubsubClientsIfNeeded. MONITOR counts as a subscription to all topics.
//
// Connections of unchanged users need no check. Invariant: at any time each connection may hold
// what it holds, because authenticate evicts one whose new user may not.
func (s *Service) recheckUsers(v broker.View, changed ...string) {
	s.access.refresh()
	now := time.Now()
	var affected []*executor
	s.eachClient(func(e *executor) {
		u := e.user // nil before the first command, which is checked by the rules of that moment
		// More than one changed name, or none, means all users.
		if u != nil && (len(changed) != 1 || u.Name() == changed[0]) {
			affected = append(affected, e)
		}
	})
	// Outside of the lock: the check of many subscriptions takes long.
	for _, e := range affected {
		if reason := e.recheckUser(now); reason != CloseReasonNone {
			e.evictAfterRequest(v, reason)
		}
	}
}

// evictAfterRequest closes the connection once the current request is done.
//
// The rest of a transaction no longer reaches the connection. If it is the connection's own,
// the rest does not run either.
func (e *executor) evictAfterRequest(v broker.View, reason CloseReason) {
	e.closing = true
	e.removeMonitor()
	v.Evict(&e.sub, reason)
}

// recheckUser returns why the connection must be closed. It updates the rules of one that may
// stay.
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

// mayHoldSubscriptions reports whether u may hold all subscriptions of the connection, and its
// MONITOR.
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

// expireTokens removes expired tokens. The sweeper calls it each second; the core gets work
// only when a token has expired.
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
