package web

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// sessionCookie has the secret of a session.
	sessionCookie = "conch_session"
	sessionLife   = 12 * time.Hour
	// maxSessions bounds the sessions, maxUserSessions those of one user: the oldest one ends for a new one.
	maxSessions, maxUserSessions = 10_000, 100
)

// sessions are those of the pages that signed in. A session stands for the credentials of the request that made it, for requests of
// the same origin. They are checked again with each request, so that a revoked token or a changed password ends it.
type sessions struct {
	mu  sync.Mutex // guards all
	all map[string]*session
}

type session struct {
	credentials
	began time.Time
	// ended ends with the life of the session, or when it is signed out: its streams end too.
	ended context.Context
	end   context.CancelFunc
}

// create makes a session, nil if there are too many.
func (k *sessions) create(c credentials) (s *session, secret string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.makeRoomLocked(&c)
	if len(k.all) >= maxSessions {
		return nil, ""
	}
	if k.all == nil {
		k.all = make(map[string]*session)
	}
	secret = rand.Text()
	s = &session{credentials: c, began: time.Now()}
	s.ended, s.end = context.WithTimeout(context.Background(), sessionLife)
	k.all[secret] = s
	context.AfterFunc(s.ended, func() { k.remove(secret) })
	return s, secret
}

// makeRoomLocked ends the oldest session of a user that has as many as one may have.
func (k *sessions) makeRoomLocked(c *credentials) {
	var oldest *session
	count := 0
	for _, s := range k.all {
		if s.user == c.user && s.certificate == c.certificate {
			if count++; oldest == nil || s.began.Before(oldest.began) {
				oldest = s
			}
		}
	}
	if count >= maxUserSessions {
		oldest.end()
	}
}

func (k *sessions) remove(secret string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.all, secret)
}

// find returns the session of a secret, nil if there is none any more.
func (k *sessions) find(secret string) *session {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.all[secret]; s != nil && s.ended.Err() == nil {
		return s
	}
	return nil
}

// endAll ends all sessions, with their timers.
func (k *sessions) endAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.all {
		s.end()
	}
}

// session is that of the request's cookie, nil without a cookie. Browsers send the cookie with requests that other pages cause, unless
// they know SameSite; so one that changes something must come from a page of this origin.
func (x *exchange) session() (*session, error) {
	cookie, err := x.request.Cookie(sessionCookie)
	if err != nil {
		return nil, nil //nolint:nilnil,nilerr // there is none
	}
	if !x.isOwnPage() {
		return nil, &problem{Status: http.StatusForbidden, Detail: "a session is for the pages of conch: sign in otherwise"}
	}
	s := x.server.sessions.find(cookie.Value)
	if s == nil {
		x.setSessionCookie("", -1)
		return nil, &problem{Status: http.StatusUnauthorized, Detail: "the session has ended: sign in again"}
	}
	return s, nil
}

// isOwnPage reports whether a page of this origin has made the request, or a link that a person follows.
func (x *exchange) isOwnPage() bool {
	h := x.request.Header
	switch h.Get("Sec-Fetch-Site") {
	case "same-origin":
		return true
	case "none":
		return x.request.Method == http.MethodGet
	case "":
	default:
		return false
	}
	if origin := h.Get("Origin"); origin != "" {
		return x.isOwnOrigin(origin)
	}
	return x.request.Method == http.MethodGet && !strings.EqualFold(h.Get("Upgrade"), "websocket") // an old browser
}

// fromConsole reports whether the console has sent the request: by its cookie, or by a header where there is none yet.
func (x *exchange) fromConsole() bool {
	_, err := x.request.Cookie(sessionCookie)
	return err == nil || x.request.Header.Get("Conch-Console") != ""
}

// setSessionCookie sets the cookie, or deletes it with a negative age.
func (x *exchange) setSessionCookie(secret string, seconds int) {
	http.SetCookie(x.writer, &http.Cookie{
		Name: sessionCookie, Value: secret, Path: "/", MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: x.request.TLS != nil,
	})
}

// postSession is POST /session: it signs a page in. It needs credentials that are valid, and no right.
func (x *exchange) postSession() error {
	if !x.isOwnPage() {
		return &problem{Status: http.StatusForbidden, Detail: "a session is for the pages of conch; other clients send credentials with each request"}
	}
	if err := x.checkCredentials("session"); err != nil {
		return err
	}
	if x.given.given {
		s, secret := x.server.sessions.create(x.given)
		if s == nil {
			return &problem{Status: http.StatusServiceUnavailable, Detail: "too many sessions; each ends after 12 hours"}
		}
		x.given.session = s
		x.setSessionCookie(secret, int(sessionLife/time.Second))
	}
	x.answer(http.StatusCreated, "application/json", x.whoami())
	return nil
}

// getSession is GET /session: the user of the page, and what the user may do here.
func (x *exchange) getSession() error {
	c, err := x.open()
	if err != nil {
		return err
	}
	c.close()
	return x.json(x.whoami())
}

// whoami is the user of the connection that was opened last.
func (x *exchange) whoami() object {
	user := x.given.name()
	rights := []string{"psubscribe", "xrevrange", "monitor"} // of a query or a WebSocket, beside that of the route
	for i := range x.server.routes {
		if r := x.server.routes[i].right; r != "" {
			rights = append(rights, r)
		}
	}
	may := object{}
	for i, allowed := range x.server.service.MayRun(user, rights) {
		if may.get(rights[i]) == nil {
			may = append(may, field{rights[i], allowed})
		}
	}
	return object{{"user", user}, {"signed_in", x.given.session != nil}, {"may", may}}
}

// deleteSession is DELETE /session: it signs out.
func (x *exchange) deleteSession() error {
	s, err := x.session()
	if err != nil {
		return err
	}
	if s != nil {
		s.end()
		x.setSessionCookie("", -1)
	}
	return x.noContent()
}
