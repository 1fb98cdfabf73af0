package command

import (
	"strings"
	"time"

	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/protocol"
)

const (
	tokenDigits = 64                     // of a token's secret, in hex: 256 bits
	longestLife = 1000 * 366 * 24 * 3600 // of a token, in seconds; a password never expires
)

// aclToken is ACL TOKEN CREATE user token seconds | LIST [user] | REVOKE user token. A token is
// a password with a name and an expiry; AUTH takes it as one.
func aclToken(w *response) {
	args := w.inv.args[3:]
	switch what := strings.ToUpper(string(w.inv.args[2])); {
	case what == "CREATE" && len(args) == 3:
		w.createToken(string(args[0]), string(args[1]), args[2])
	case what == "LIST" && len(args) <= 1:
		w.listTokens(args)
	case what == "REVOKE" && len(args) == 2:
		if err := w.users().RevokeToken(string(args[0]), string(args[1])); err != nil {
			w.failACL(err)
			return
		}
		w.executor.service.recheckUsers(w.view, string(args[0]))
		w.ok()
	default:
		w.fail(protocol.Errorf("wrong arguments for 'acl|token' command; type: %s", w.inv.row.Usage))
	}
}

// newToken is what ACL TOKEN CREATE adds. On a node of a cluster its reader draws it, and all nodes get it without the secret.
type newToken struct {
	secret  string
	digest  acl.Digest
	expires time.Time
}

// drawToken draws a secret for a token with so many seconds to live.
func drawToken(life []byte) (*newToken, *protocol.Error) {
	seconds, ok := protocol.ParseInt(life)
	if !ok || seconds < 1 || seconds > longestLife {
		return nil, protocol.Errorf("token lifetime must be from 1 to %d whole seconds", longestLife)
	}
	t := &newToken{secret: randomHex(tokenDigits)}
	t.digest = acl.Hash([]byte(t.secret))
	// Wall time, in whole seconds: the ACL file keeps it across restarts. Rounded up: a token of a second that is made at
	// the end of one would be gone at once.
	now := time.Now()
	t.expires = time.Unix(now.Unix()+seconds, 0)
	if now.Nanosecond() > 0 {
		t.expires = t.expires.Add(time.Second)
	}
	return t, nil
}

// drawOrdered draws what all nodes are to have the same of. An error shows in the order: all nodes reply with it.
func (inv *invocation) drawOrdered() {
	if a := inv.args; rowName(inv) == "acl|token" && len(a) == 6 && strings.EqualFold(string(a[2]), "CREATE") {
		inv.token, _ = drawToken(a[5])
	}
}

// createToken replies with the secret. No command shows it again: only its digest is kept.
func (w *response) createToken(user, token string, life []byte) {
	t := w.inv.token
	if t == nil {
		var err *protocol.Error
		if t, err = drawToken(life); err != nil {
			w.fail(err)
			return
		}
	}
	if err := w.users().CreateToken(user, token, t.digest, t.expires); err != nil {
		w.failACL(err)
		return
	}
	w.executor.service.recheckUsers(w.view, user)
	w.text(t.secret)
}

// listTokens replies with a map for each token: its user, its name, and its expiry in Unix
// seconds.
func (w *response) listTokens(of [][]byte) {
	names := w.users().Names()
	if len(of) > 0 {
		names = []string{string(of[0])}
	}
	type owned struct {
		user string
		acl.Token
	}
	var all []owned
	for _, name := range names {
		u := w.users().Find(name)
		if u == nil {
			w.fail(protocol.Errorf("User '%.128s' not found", name))
			return
		}
		for _, t := range u.Tokens() {
			all = append(all, owned{name, t})
		}
	}
	w.array(len(all))
	for _, t := range all {
		w.mapHeader(3)
		w.text("username")
		w.text(t.user)
		w.text("token")
		w.text(t.Name)
		w.text("expires")
		w.integer(t.Expires.Unix())
	}
}
