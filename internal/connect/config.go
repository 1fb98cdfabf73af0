package connect

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/filter"
)

// Config is a connector as the config file or a command gives it. Two that are equal do the same.
type Config struct {
	Direction command.Direction
	Name      string
	URL       string // with what stands for its secrets: from of a source, to of a sink
	Topic     string // of a source, a template; of a sink, a topic or a glob
	Where     string
	Dead      string // the topic of dead letters; empty: they are counted alone
	Batch     int    // the most messages of one Read or Write
	InFlight  int    // of a source: messages that have not taken effect yet
	Tries     int    // of a sink: writes of a message before it is a dead letter
	Timeout   time.Duration
	FromFile  bool
}

// The bounds, and the values of a connector without the key.
const (
	defaultBatch, maxBatch       = 256, 10_000
	defaultInFlight, maxInFlight = 1024, 100_000
	defaultTries, maxTries       = 5, 1000
	defaultTimeout, maxTimeout   = 30 * time.Second, time.Hour
	maxName                      = 64
	maxGiven                     = 1024     // bytes of a topic as it is given
	maxTopic                     = 64 << 10 // bytes of a topic as a template makes it
)

// NewConfig is a connector with nothing but the defaults.
func NewConfig(d command.Direction) Config {
	return Config{Direction: d, Batch: defaultBatch, InFlight: defaultInFlight, Tries: defaultTries, Timeout: defaultTimeout}
}

// Key is a key of a connector: in the config file, and behind SOURCE ADD and SINK ADD.
type Key struct {
	Name  string
	For   command.Direction // empty: both
	Usage string
	set   func(c *Config, text string) error
}

// Keys are all keys, in the order of the docs.
func Keys() []Key {
	return []Key{
		{"name", "", "letters, digits, . _ and -; one of its own for each source and for each sink", func(c *Config, text string) error { c.Name = text; return nil }},
		{"from", command.Source, "where it reads", func(c *Config, text string) error { c.URL = text; return nil }},
		{"to", command.Sink, "where it writes", func(c *Config, text string) error { c.URL = text; return nil }},
		{"topic", "", "of a source a topic or a template, of a sink a topic or a pattern", func(c *Config, text string) error { c.Topic = text; return nil }},
		{"where", "", "a predicate: only what it matches goes through", func(c *Config, text string) error { c.Where = text; return nil }},
		{"dead", "", "the topic of dead letters", func(c *Config, text string) error { c.Dead = text; return nil }},
		{"batch", "", "the most messages that are read or written at once", number(func(c *Config) *int { return &c.Batch }, maxBatch)},
		{"inflight", command.Source, "the most messages that have not taken effect yet", number(func(c *Config) *int { return &c.InFlight }, maxInFlight)},
		{"tries", command.Sink, "how often a message is written before it is a dead letter", number(func(c *Config) *int { return &c.Tries }, maxTries)},
		{"timeout", "", "how long a write, or connecting, may take", setTimeout},
	}
}

// number sets a number from 1 on.
func number(field func(*Config) *int, most int) func(*Config, string) error {
	return func(c *Config, text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			return fmt.Errorf("expected a number from 1 to %d", most)
		}
		*field(c) = n
		return nil
	}
}

func setTimeout(c *Config, text string) error {
	d, err := time.ParseDuration(text)
	if seconds, isNumber := strconv.Atoi(text); isNumber == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d <= 0 || d > maxTimeout {
		return errors.New("expected a time such as 30s, of an hour at most")
	}
	c.Timeout = d
	return nil
}

// KeyError is an error of a connector at one of its keys. Column counts from 1 in the value; 0 is the key itself.
type KeyError struct {
	Key    string
	Column int
	Text   string
}

func (e *KeyError) Error() string {
	if e.Column > 0 {
		return fmt.Sprintf("%s: column %d: %s", e.Key, e.Column, e.Text)
	}
	return fmt.Sprintf("%s: %s", e.Key, e.Text)
}

// KeysOf are the names of the keys of a direction.
func KeysOf(d command.Direction) (names []string) {
	for _, k := range Keys() {
		if k.For == "" || k.For == d {
			names = append(names, k.Name)
		}
	}
	return names
}

// Set sets a key. Its error is a *KeyError.
func (c *Config) Set(key, text string) error {
	for _, k := range Keys() {
		if k.Name != key || (k.For != "" && k.For != c.Direction) {
			continue
		}
		if err := k.set(c, text); err != nil {
			return &KeyError{key, 1, err.Error()}
		}
		return nil
	}
	return &KeyError{key, 0, "unknown key; known are " + strings.Join(KeysOf(c.Direction), ", ")}
}

// urlKey is the key of the address.
func (c *Config) urlKey() string {
	if c.Direction == command.Source {
		return "from"
	}
	return "to"
}

// Digest sums connectors up, without their secrets: two nodes with the same file have the same.
func Digest(configs []Config) string {
	sum := sha256.New()
	for i := range configs {
		_, _ = fmt.Fprintf(sum, "%q", fmt.Sprintf("%+v", configs[i])) // it never fails
	}
	return fmt.Sprintf("%d of digest %x", len(configs), sum.Sum(nil)[:4])
}

// Plan is a connector that was checked, and can run.
type Plan struct {
	Config
	target *Target
	topic  *Template         // of a source
	where  *filter.Predicate // of a source
}

// Compiler checks connectors.
type Compiler struct {
	Systems []System
	Secrets Secrets // of connectors in the config file
	Limit   int     // the largest payload
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// Compile checks a connector; it connects to nothing. Its error is a *KeyError.
func (k *Compiler) Compile(c Config) (*Plan, error) {
	p := &Plan{Config: c}
	if len(c.Name) > maxName || !nameForm.MatchString(c.Name) {
		return nil, &KeyError{"name", 0, fmt.Sprintf("expected a name of letters, digits, . _ and -, of %d bytes at most", maxName)}
	}
	if err := k.compileTarget(p); err != nil {
		return nil, err
	}
	if err := p.compileTopic(); err != nil {
		return nil, err
	}
	if len(c.Dead) > maxGiven || strings.ContainsAny(c.Dead, "{}") {
		return nil, &KeyError{"dead", 1, "expected a topic; dead letters of a connector go to one"}
	}
	if c.Where == "" {
		return p, nil
	}
	where, err := filter.Compile(c.Where, filter.Limits{})
	if err != nil {
		return nil, atKey("where", err)
	}
	p.where = where
	return p, nil
}

// compileTarget reads the address, and has the driver read its options.
func (k *Compiler) compileTarget(p *Plan) error {
	key, secrets := p.urlKey(), k.Secrets
	if !p.FromFile {
		secrets = Secrets{}
	}
	if p.URL == "" {
		return &KeyError{key, 0, "is missing: where it connects to, such as nats://localhost:4222?subject=orders"}
	}
	target, err := ParseTarget(p.URL, k.Systems, secrets)
	if err != nil {
		return atKey(key, err)
	}
	p.target = target
	system := target.System
	switch {
	case p.Direction == command.Source && system.Source == nil:
		return &KeyError{key, 1, system.Name + " has no sources: it is written to alone"}
	case p.Direction == command.Sink && system.Sink == nil:
		return &KeyError{key, 1, system.Name + " has no sinks: it is read alone"}
	case system.FileOnly && !p.FromFile:
		return &KeyError{key, 1, system.Name + " may stand in the config file alone: it reaches the machine of conch"}
	}
	a := p.address(k.Limit, func(string) {})
	if p.Direction == command.Source {
		_, err = system.Source(a)
	} else {
		_, err = system.Sink(a)
	}
	if err != nil {
		return &KeyError{key, 1, target.Scrub(err.Error())}
	}
	for option := range a.Query {
		return &KeyError{key, strings.Index(p.URL, option) + 1, fmt.Sprintf("%s has no option %s here", system.Name, strconv.Quote(option))}
	}
	return nil
}

// compileTopic checks the topic.
func (p *Plan) compileTopic() error {
	if p.Topic == "" || len(p.Topic) > maxGiven {
		return &KeyError{"topic", 0, fmt.Sprintf("expected a topic of conch, of %d bytes at most", maxGiven)}
	}
	if p.Direction == command.Sink {
		return nil
	}
	topic, err := ParseTemplate(p.Topic)
	if err != nil {
		return atKey("topic", err)
	}
	known := p.target.System.Meta
	for _, name := range topic.Names() {
		if !slices.Contains(known, name) {
			return &KeyError{"topic", strings.Index(p.Topic, "{"+name) + 1, fmt.Sprintf("messages of %s have no {%s}; they have {header.NAME}, {field.PATH}%s",
				p.target.System.Name, name, braced(known))}
		}
	}
	p.topic = topic
	return nil
}

// braced are names in braces, each behind a comma.
func braced(names []string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString(", {" + name + "}")
	}
	return b.String()
}

// atKey is an error within the value of a key.
func atKey(key string, err error) error {
	if wrong := new(TextError); errors.As(err, &wrong) {
		return &KeyError{key, wrong.Column, wrong.Text}
	}
	if wrong := new(filter.Error); errors.As(err, &wrong) {
		return &KeyError{key, wrong.Column, wrong.Text}
	}
	return &KeyError{key, 1, err.Error()}
}

// address makes the address for a driver, which may change the query.
func (p *Plan) address(limit int, warn func(string)) Address {
	query := make(url.Values, len(p.target.Query))
	for key, values := range p.target.Query {
		query[key] = slices.Clone(values)
	}
	u := *p.target.URL
	return Address{
		URL: &u, Query: query, Hosts: p.target.Hosts, Name: "conch-" + p.Name, Limit: limit, Batch: p.Batch, InFlight: p.InFlight, Warn: warn,
	}
}

// Shown is the address without a password.
func (p *Plan) Shown() string { return p.target.String() }

// same reports whether p does what q does, with the same secrets.
func (p *Plan) same(q *Plan) bool {
	return p.Config == q.Config && slices.Equal(p.target.secrets, q.target.secrets)
}
