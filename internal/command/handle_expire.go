package command

import (
	"github.com/conchmq/conch/internal/keyargs"
)

// expire is EXPIRE and its relatives. A time that has passed removes the key at once.
func expire(form keyargs.ExpireForm) func(*response) {
	return func(w *response) {
		var x keyargs.Expire
		if err := x.Parse(w.inv.args, form, w.now(), w.inv.row.FullName()); err != nil {
			w.fail(err)
			return
		}
		s := w.key(x.Key)
		if s == nil || !x.Allows(s.Expiry()) {
			w.integer(0)
			return
		}
		c := w.change()
		w.streams().PlanExpiry(c, s, x.At)
		w.apply(c)
		w.integer(1)
	}
}

// ttl is TTL and its relatives: -2 without a key, -1 without an end.
func ttl(form keyargs.ExpireForm) func(*response) {
	return func(w *response) {
		s := w.key(w.inv.args[1])
		switch {
		case s == nil:
			w.integer(-2)
			return
		case s.Expiry() == 0:
			w.integer(-1)
			return
		}
		left := s.Expiry()
		if !form.Absolute {
			left = max(left-w.now(), 0)
		}
		if form.Seconds {
			left = (left + 500) / 1000 // rounded, as in Redis
		}
		w.integer(left)
	}
}

func persist(w *response) {
	s := w.key(w.inv.args[1])
	if s == nil {
		w.integer(0)
		return
	}
	c := w.change()
	if !w.streams().PlanPersist(c, s) {
		w.integer(0)
		return
	}
	w.apply(c)
	w.integer(1)
}
