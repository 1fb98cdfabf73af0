package web

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	ticketLife = 30 * time.Second
	// maxTickets bounds the tickets that are not used yet.
	maxTickets = 10_000
	// maxTicketSize bounds the bytes of the credentials behind a ticket: a user without a password may send any.
	maxTicketSize = 1 << 10
)

// tickets are the tickets that are not used yet. A ticket stands for the credentials of the
// request that made it, for one request that cannot send them: EventSource has no headers.
//
// The credentials are checked again when the ticket is used, so that a revoked token has none.
type tickets struct {
	mu  sync.Mutex // guards all
	all map[string]ticket
}

type ticket struct {
	credentials
	expires time.Time
}

// create makes a ticket; false if there are too many.
func (k *tickets) create(c credentials, now time.Time) (secret string, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.all) >= maxTickets {
		for secret, t := range k.all {
			if !t.expires.After(now) {
				delete(k.all, secret)
			}
		}
	}
	if len(k.all) >= maxTickets {
		return "", false
	}
	if k.all == nil {
		k.all = make(map[string]ticket)
	}
	secret = rand.Text()
	k.all[secret] = ticket{c, now.Add(ticketLife)}
	return secret, true
}

// use returns what a ticket stands for. It is gone then, whatever comes of the request.
func (k *tickets) use(secret string, now time.Time) (c credentials, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t, found := k.all[secret]
	delete(k.all, secret)
	return t.credentials, found && t.expires.After(now)
}

// checkCredentials has the credentials of the request checked, and refuses those that are too large to be kept for a ticket or a session.
func (x *exchange) checkCredentials(keeper string) error {
	c, err := x.open()
	if err != nil {
		return err
	}
	c.close()
	if n := len(x.given.user) + len(x.given.password) + len(x.given.certificate); n > maxTicketSize {
		return &problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf("user and password have %d bytes; a %s takes at most %d", n, keeper, maxTicketSize)}
	}
	return nil
}

// postTicket is POST /tickets: it needs credentials that are valid, and no right.
func (x *exchange) postTicket() error {
	if err := x.checkCredentials("ticket"); err != nil {
		return err
	}
	secret, ok := x.server.tickets.create(x.given, time.Now())
	if !ok {
		return &problem{Status: http.StatusServiceUnavailable, Detail: "too many tickets are unused; each ends after 30 seconds"}
	}
	x.answer(http.StatusCreated, "application/json", object{{"ticket", secret}, {"seconds", int(ticketLife / time.Second)}})
	return nil
}
