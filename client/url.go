package client

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// schemes maps the scheme of a URL to its default port and whether it uses TLS.
var schemes = map[string]struct {
	port string
	tls  bool
}{
	"conch":  {port: "8889"},
	"conchs": {port: "8890", tls: true},
	"redis":  {port: "6379"},
	"rediss": {port: "6379", tls: true},
}

// ParseURL parses one of these forms; user, password, port and everything behind the host are optional:
//
//	conch://user:password@host:port?sequences=true
//	conchs://…   the same with TLS; the default port is 8890, that of conch 8889
//	redis://…    rediss://…; the default port is 6379, and a database behind the host is ignored, as by pub/sub
//	unix://user:password@/path/of/the/socket
//
// Options behind the question mark are sequences (true or false), and dial_timeout, min_backoff, max_backoff and
// ping_after as Go durations such as 5s. Anything else is an error that wraps ErrInvalidOption. No error quotes the
// password.
func ParseURL(s string) (Options, error) {
	u, err := url.Parse(s)
	if err != nil { // err quotes the URL, password included
		return Options{}, invalidOption("invalid URL: expected scheme://user:password@host:port, with special characters escaped")
	}
	var o Options
	if err := o.parseAddr(u); err != nil {
		return Options{}, err
	}
	if u.User != nil {
		o.Username = u.User.Username()
		o.Password, _ = u.User.Password()
	}
	if err := o.parseQuery(u); err != nil {
		return Options{}, err
	}
	_, err = o.withDefaults()
	return o, err
}

// parseAddr parses scheme, host, port and path.
func (o *Options) parseAddr(u *url.URL) error {
	if u.Scheme == "unix" {
		if u.Host != "" || u.Path == "" {
			return invalidOption("a Unix socket is unix:///path or unix://user:password@/path")
		}
		o.Addr = unixPrefix + u.Path
		return nil
	}
	scheme, ok := schemes[u.Scheme]
	if !ok {
		return invalidOption("scheme %q is none of conch, conchs, redis, rediss and unix", u.Scheme)
	}
	if database := strings.TrimPrefix(u.Path, "/"); database != "" {
		if _, err := strconv.ParseUint(database, 10, 16); err != nil || !strings.HasPrefix(u.Scheme, "redis") {
			return invalidOption("only options may follow the host: %q", u.Path)
		}
	}
	o.Addr = net.JoinHostPort(cmp.Or(u.Hostname(), "127.0.0.1"), cmp.Or(u.Port(), scheme.port))
	if scheme.tls {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return nil
}

// parseQuery parses the options behind the question mark.
func (o *Options) parseQuery(u *url.URL) error {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return invalidOption("the options behind the question mark cannot be read: %v", err)
	}
	durations := map[string]*time.Duration{
		"dial_timeout": &o.DialTimeout, "min_backoff": &o.MinBackoff, "max_backoff": &o.MaxBackoff,
		"ping_after": &o.PingAfter,
	}
	for name, all := range values {
		value := all[len(all)-1]
		if d, ok := durations[name]; ok {
			*d, err = time.ParseDuration(value)
		} else if name == "sequences" {
			o.Sequences, err = strconv.ParseBool(value)
		} else {
			return invalidOption("unknown option %q", name)
		}
		if err != nil {
			return invalidOption("option %s cannot be %q", name, value)
		}
	}
	return nil
}
