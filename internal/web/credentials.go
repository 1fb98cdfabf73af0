package web

import (
	"cmp"
	"net/http"
	"strings"
	"time"
)

// credentials are what a request authenticates with. The zero value is none: the connection is
// the user of its certificate, or the default user.
type credentials struct {
	user, password string
	given          bool
	// certificate is the common name in the client's certificate, if that names the user.
	certificate string
	// session is the session whose credentials these are, nil if there is none.
	session *session
}

// credentials reads what a request authenticates with. It checks nothing.
func (x *exchange) credentials() (credentials, error) {
	var c credentials
	if t := x.request.TLS; t != nil && x.server.service.Options().CertificateUser && len(t.VerifiedChains) > 0 {
		c.certificate = t.VerifiedChains[0][0].Subject.CommonName
	}
	if secret := x.request.URL.Query().Get("ticket"); secret != "" && x.request.Method == http.MethodGet {
		c, ok := x.server.tickets.use(secret, time.Now())
		if !ok {
			return c, &problem{Status: http.StatusUnauthorized, Detail: "there is no such ticket: each is for one request within 30 seconds"}
		}
		return c, nil
	}
	header := x.request.Header.Get("Authorization")
	if header == "" {
		s, err := x.session()
		if s != nil && c.certificate == "" {
			c = s.credentials
			c.session = s
		}
		return c, err
	}
	if scheme, token, _ := strings.Cut(header, " "); strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(token)
		user, ok := x.server.service.TokenUser(token)
		if !ok {
			return c, &problem{Status: http.StatusUnauthorized, Code: "WRONGPASS", Detail: "no user has this token"}
		}
		c.user, c.password, c.given = user, token, true
		return c, nil
	}
	if c.user, c.password, c.given = x.request.BasicAuth(); !c.given {
		return c, &problem{Status: http.StatusUnauthorized, Detail: "the header Authorization is neither Basic nor Bearer"}
	}
	if c.user == "" {
		c.user = "default"
	}
	return c, nil
}

// name is the user that the credentials name.
func (c *credentials) name() string {
	return cmp.Or(c.user, c.certificate, "default")
}

// commands are the commands that authenticate a connection, none without credentials.
func (c *credentials) commands() [][]string {
	if !c.given {
		return nil
	}
	return [][]string{{"AUTH", c.user, c.password}}
}
