package web

import "time"

// Routes are the routes: method, path and right.
func Routes() (all [][]string) {
	for _, r := range new(Server).table() {
		all = append(all, []string{r.method, r.path, r.right})
	}
	return all
}

// MaxTickets is the bound of tickets.
const MaxTickets = maxTickets

// Tickets are tickets without credentials.
type Tickets struct{ tickets }

// Create makes one.
func (k *Tickets) Create(now time.Time) (secret string, ok bool) {
	return k.create(credentials{}, now)
}

// Use uses one.
func (k *Tickets) Use(secret string, now time.Time) bool {
	_, ok := k.use(secret, now)
	return ok
}
