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
//	conch://user:password@a:8889,b:8889,c:8889   several servers that stand for one: see Options.Addresses
//
// Options behind the question mark are sequences (true or false), and dial_timeout, min_backoff, max_backoff and
// ping_after as Go durations such as 5s. Anything else is an error that wraps ErrInvalidOption. No error quotes the
// password.
func ParseURL(s string) (Options, error) {
	s, hosts := cutHosts(s)
	u, err := url.Parse(s)
	if err != nil { // err quotes the URL, password included
		return Options{}, invalidOption("invalid URL: expected scheme://user:password@host:port, with special characters escaped")
	}
	var o Options
	if err := o.parseAddr(u); err != nil {
		return Options{}, err
	}
	if err := o.parseHosts(u, hosts); err != nil {
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

// cutHosts takes the hosts behind the first comma out of a URL, because package url knows one host only. first is the URL
// without them.
func cutHosts(s string) (first string, hosts []string) {
	scheme, rest, _ := strings.Cut(s, "://")
	if _, ok := schemes[strings.ToLower(scheme)]; !ok {
		return s, nil
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	from := strings.LastIndexByte(authority, '@') + 1
	list := strings.Split(authority[from:], ",")
	return scheme + "://" + authority[:from] + list[0] + rest[len(authority):], list[1:]
}

// parseHosts parses the hosts of a list behind the first one.
func (o *Options) parseHosts(first *url.URL, hosts []string) error {
	if len(hosts) == 0 {
		return nil
	}
	addresses := []string{o.Addr}
	for _, host := range hosts {
		u, err := url.Parse(first.Scheme + "://" + host)
		if err != nil || u.Host != host || u.Hostname() == "" || first.Hostname() == "" { // host may be part of a password
			return invalidOption("one in the list of hosts is not host:port")
		}
		addresses = append(addresses, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), schemes[u.Scheme].port)))
	}
	o.Addr, o.Addresses = "", addresses
	return nil
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
