// Package kafka reads topics of Kafka as a member of a consumer group, and writes to topics.
package kafka

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/conchmq/conch/internal/connect"
)

// System is the row of internal/connect/systems.
var System = connect.System{
	Name:      "kafka",
	Schemes:   []string{"kafka", "kafka+tls"},
	Source:    newSource,
	Sink:      newSink,
	Meta:      []string{"topic", "partition", "key"},
	Positions: true,
	Headers:   true,
}

func newSource(a connect.Address) (connect.Source, error) {
	s := &source{topic: a.Take("topic"), group: a.Take("group"), most: max(a.Batch, 1)}
	if s.topic == "" {
		return nil, errors.New("the address names no topic: write ?topic=NAME&group=NAME")
	}
	if s.group == "" {
		s.group = a.Name
	}
	switch from := a.Take("from"); from {
	case "", "start":
		s.start = kgo.NewOffset().AtStart()
	case "end":
		s.start = kgo.NewOffset().AtEnd()
	default:
		return nil, fmt.Errorf("from is start or end: %.60q", from)
	}
	var err error
	s.options, err = clientOptions(&a)
	return s, err
}

func newSink(a connect.Address) (connect.Sink, error) {
	s := &sink{}
	text := a.Take("topic")
	if text == "" {
		return nil, errors.New("the address names no topic: write ?topic=NAME, or ?topic={topic}")
	}
	var err error
	if s.topic, err = connect.ParseTemplate(text); err != nil {
		return nil, fmt.Errorf("topic: %w", err)
	}
	if key := a.Take("key"); key != "" {
		if s.key, err = connect.ParseTemplate(key); err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
	}
	if s.create, err = a.TakeBool("create"); err != nil {
		return nil, err
	}
	s.options, err = clientOptions(&a)
	return s, err
}

// clientOptions takes what both directions need of an address.
func clientOptions(a *connect.Address) ([]kgo.Opt, error) {
	if len(a.Hosts) == 0 || a.Hosts[0] == "" {
		return nil, errors.New("the address has no host: write kafka://host:9092,other:9092?topic=NAME")
	}
	options := []kgo.Opt{kgo.SeedBrokers(a.Hosts...), kgo.ClientID(a.Name)}
	if strings.EqualFold(a.URL.Scheme, "kafka+tls") {
		options = append(options, kgo.DialTLS())
	}
	mechanism := a.Take("sasl")
	if a.URL.User == nil {
		if mechanism != "" {
			return nil, errors.New("sasl needs a user and a password: write kafka://user:password@host:9092")
		}
		return options, nil
	}
	password, _ := a.URL.User.Password()
	login, err := mechanismOf(mechanism, a.URL.User.Username(), password)
	return append(options, kgo.SASL(login)), err
}

func mechanismOf(name, user, password string) (sasl.Mechanism, error) {
	switch name {
	case "", "plain":
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	case "scram-sha-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	default:
		return nil, fmt.Errorf("sasl is plain, scram-sha-256 or scram-sha-512: %.60q", name)
	}
}
