package connect

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Target is an address as it was read, with what hides its secrets. It is not changed after ParseTarget, but for the query, which the
// driver takes apart.
type Target struct {
	System *System
	URL    *url.URL   // without its query
	Query  url.Values // decoded
	Hosts  []string   // host or host:port; one, unless the address has several with commas between

	shown   string   // as people may see it
	secrets []string // what no text may have
}

// Secrets resolves ${NAME} and file:/PATH in an address. The zero value refuses both: it is for addresses that do not come from the
// config file.
type Secrets struct {
	Variable func(name string) (string, bool)
	File     func(path string) ([]byte, error)
}

// hidden stands in the place of a secret.
const hidden = "***"

// secretKeys are parts of names in a query whose values are secrets, wherever they come from.
var secretKeys = []string{"password", "passwd", "secret", "token", "credential", "apikey", "api_key"}

// fileUser matches a user with a password in a file: the path has slashes, which else end the user.
var fileUser = regexp.MustCompile(`^([^/?#@:]*:file:/[^@?]*)@`)

// ParseTarget reads the address of a connector: a URL in whose query + and # stand for themselves, because topics of MQTT have them.
// Its error is a *TextError.
func ParseTarget(text string, systems []System, from Secrets) (*Target, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	if !ok {
		return nil, &TextError{1, "expected a URL, such as nats://localhost:4222?subject=orders"}
	}
	t := &Target{Query: make(url.Values)}
	if t.System = findSystem(systems, strings.ToLower(scheme)); t.System == nil {
		return nil, &TextError{1, fmt.Sprintf("no system has URLs of the form %s: ; known are %s", scheme, strings.Join(schemes(systems), ", "))}
	}
	p := &targetParser{target: t, from: from, text: text, at: len(scheme) + 1}
	p.shown.WriteString(strings.ToLower(scheme) + ":")
	if err := p.parse(strings.ToLower(scheme), rest); err != nil {
		return nil, err
	}
	t.shown = p.shown.String()
	slices.SortStableFunc(t.secrets, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	return t, nil
}

func findSystem(systems []System, scheme string) *System {
	for i := range systems {
		if slices.Contains(systems[i].Schemes, scheme) {
			return &systems[i]
		}
	}
	return nil
}

func schemes(systems []System) (all []string) {
	for i := range systems {
		all = append(all, systems[i].Schemes...)
	}
	slices.Sort(all)
	return all
}

// String is the address without its secrets.
func (t *Target) String() string { return t.shown }

// Scrub takes the secrets of the address out of a text, such as the error of a library.
func (t *Target) Scrub(text string) string {
	for _, secret := range t.secrets {
		quoted := strconv.Quote(secret)
		for _, form := range []string{
			secret, url.QueryEscape(secret), url.PathEscape(secret), url.UserPassword("", secret).String()[1:], quoted[1 : len(quoted)-1],
		} {
			text = strings.ReplaceAll(text, form, hidden)
		}
	}
	return text
}

// targetParser reads one address. What it reads goes to the target, and to shown as people may see it.
type targetParser struct {
	target *Target
	from   Secrets
	text   string
	at     int // where the part that is read begins
	shown  strings.Builder
}

// fail is an error at a place of the address.
func (p *targetParser) fail(at int, format string, args ...any) error {
	return &TextError{at + 1, fmt.Sprintf(format, args...)}
}

// parse reads what stands behind the scheme.
func (p *targetParser) parse(scheme, rest string) error {
	u := &url.URL{Scheme: scheme}
	p.target.URL = u
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		p.at += 2
		p.shown.WriteString("//")
		var err error
		if rest, err = p.authority(after); err != nil {
			return err
		}
	}
	path, query, hasQuery := strings.Cut(rest, "?")
	if strings.Contains(path, "${") {
		return p.fail(p.at, "${NAME} may stand in the user, the password and the query alone")
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return p.fail(p.at, "the path is not percent-encoded: %v", err)
	}
	if u.Host == "" && !strings.HasPrefix(path, "/") {
		u.Opaque = decoded
	} else {
		u.Path, u.RawPath = decoded, path
	}
	p.shown.WriteString(path)
	if !hasQuery {
		return nil
	}
	p.at += len(path) + 1
	p.shown.WriteByte('?')
	return p.query(query)
}

// authority reads user and hosts, and returns what is behind them.
func (p *targetParser) authority(rest string) (string, error) {
	user, ok := "", false
	if found := fileUser.FindStringSubmatch(rest); found != nil {
		user, ok, rest = found[1], true, rest[len(found[0]):]
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	hosts := rest[:end]
	if at := strings.LastIndexByte(hosts, '@'); !ok && at >= 0 {
		user, ok, hosts = hosts[:at], true, hosts[at+1:]
	}
	if ok {
		if err := p.user(user); err != nil {
			return "", err
		}
		p.at += len(user) + 1
		p.shown.WriteByte('@')
	}
	if strings.Contains(hosts, "${") {
		return "", p.fail(p.at, "${NAME} may stand in the user, the password and the query alone")
	}
	at := p.at
	for _, host := range strings.Split(hosts, ",") {
		if checked, err := url.Parse("x://" + host); err != nil || checked.Host != host || (host == "" && strings.Contains(hosts, ",")) {
			return "", p.fail(at, "%q is no host or host:port", host)
		}
		p.target.Hosts = append(p.target.Hosts, host)
		at += len(host) + 1
	}
	p.target.URL.Host = p.target.Hosts[0]
	p.shown.WriteString(hosts)
	p.at += len(hosts)
	return rest[end:], nil
}

// user reads the user and the password.
func (p *targetParser) user(text string) error {
	name, password, hasPassword := strings.Cut(text, ":")
	user, secret, err := p.expand(name, p.at)
	if err != nil {
		return err
	}
	p.show(name, user, secret)
	p.target.URL.User = url.User(user)
	if !hasPassword {
		return nil
	}
	if password, _, err = p.expand(password, p.at+len(name)+1); err != nil {
		return err
	}
	p.show("", password, true)
	p.target.URL.User = url.UserPassword(user, password)
	return nil
}

// query reads the pairs behind the question mark.
func (p *targetParser) query(text string) error {
	for i, pair := range strings.Split(text, "&") {
		name, raw, _ := strings.Cut(pair, "=")
		key, err := url.PathUnescape(name)
		if err != nil || key == "" {
			return p.fail(p.at, "expected name=value, with & between")
		}
		value, secret, err := p.expand(raw, p.at+len(name)+1)
		if err != nil {
			return err
		}
		isSecretKey := slices.ContainsFunc(secretKeys, func(s string) bool { return strings.Contains(strings.ToLower(key), s) })
		p.target.Query.Add(key, value)
		if i > 0 {
			p.shown.WriteByte('&')
		}
		p.shown.WriteString(name + "=")
		p.show(raw, value, secret || isSecretKey)
		p.at += len(pair) + 1
	}
	return nil
}

// show adds a value as it was written, or hides it. A password, raw being empty, is left out as a whole.
func (p *targetParser) show(raw, value string, isSecret bool) {
	if !isSecret {
		p.shown.WriteString(raw)
		return
	}
	if value != "" {
		p.target.secrets = append(p.target.secrets, value)
	}
	if raw != "" {
		p.shown.WriteString(hidden)
	}
}

// variable matches ${NAME}.
var variable = regexp.MustCompile(`\$\{[^}]*\}`)

// expand decodes a part of the address, and resolves its secrets.
func (p *targetParser) expand(text string, at int) (value string, isSecret bool, err error) {
	if path, ok := strings.CutPrefix(text, "file:"); ok && strings.HasPrefix(path, "/") {
		value, err = p.file(path, at)
		return value, true, err
	}
	var b strings.Builder
	for last := 0; ; {
		found := variable.FindStringIndex(text[last:])
		literal := text[last:]
		if found != nil {
			literal = text[last : last+found[0]]
		}
		decoded, err := url.PathUnescape(literal)
		if err != nil {
			return "", false, p.fail(at+last, "not percent-encoded: %v", err)
		}
		b.WriteString(decoded)
		if found == nil && strings.Contains(literal, "${") {
			return "", false, p.fail(at+last, "${ without a }: expected ${NAME}")
		}
		if found == nil {
			return b.String(), isSecret, nil
		}
		name := text[last+found[0]+2 : last+found[1]-1]
		if p.from.Variable == nil {
			return "", false, p.fail(at+last, "${%s} is resolved in the config file alone", name)
		}
		secret, ok := p.from.Variable(name)
		if !ok {
			return "", false, p.fail(at+last+found[0], "the environment has no variable %s", name)
		}
		b.WriteString(secret)
		isSecret, last = true, last+found[1]
	}
}

// file is the first line of a file.
func (p *targetParser) file(path string, at int) (string, error) {
	if p.from.File == nil {
		return "", p.fail(at, "file:%s is read from the config file alone", path)
	}
	text, err := p.from.File(path)
	if err != nil {
		return "", p.fail(at, "%v", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}
