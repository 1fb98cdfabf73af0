// Package mqtt subscribes to topics of an MQTT 5 server, and publishes to them.
package mqtt

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"strings"
	"time"

	"github.com/conchmq/conch/internal/connect"
)

// System is the row of internal/connect/systems.
var System = connect.System{
	Name:    "mqtt",
	Schemes: []string{"mqtt", "mqtts"},
	Source:  newSource,
	Sink:    newSink,
	Meta:    append([]string{"topic"}, levels[:]...),
	Headers: true,
}

// levels are the names of the parts of a topic between its slashes.
var levels = [...]string{"level1", "level2", "level3", "level4", "level5", "level6", "level7", "level8", "level9"}

// day is how long the server keeps the session of a source that is away.
const day = 24 * time.Hour

func newSource(a connect.Address) (connect.Source, error) {
	s := &source{}
	filter, group := a.Take("topic"), a.Take("group")
	if filter == "" {
		return nil, errors.New("the address names no topic: write ?topic=sensors/+/temperature")
	}
	if group != "" {
		filter = "$share/" + group + "/" + filter
	}
	s.filter, s.inFlight = filter, uint16(min(max(a.InFlight, 1), math.MaxUint16))
	qos, err := a.TakeInt("qos", 1, 0, 2)
	if err != nil {
		return nil, err
	}
	s.qos = byte(qos)
	expiry, err := a.TakeDuration("session", day)
	if err != nil {
		return nil, err
	}
	if s.expiry = uint32(min(expiry/time.Second, math.MaxUint32)); qos == 0 {
		s.expiry = 0 // the server keeps nothing anyway
	}
	s.login, err = newLogin(&a)
	s.clip = a.Limit
	if err == nil && !s.named {
		// The subscription is part of the session: another one gets another session, and the old one expires at the server.
		s.id += fmt.Sprintf("-%08x", sum(filter))
	}
	return s, err
}

func newSink(a connect.Address) (connect.Sink, error) {
	s := &sink{}
	text := a.Take("topic")
	if text == "" {
		return nil, errors.New("the address names no topic: write ?topic=conch/{topic}")
	}
	var err error
	if s.topic, err = connect.ParseTemplate(text); err != nil {
		return nil, fmt.Errorf("topic: %w", err)
	}
	qos, err := a.TakeInt("qos", 1, 0, 2)
	if err != nil {
		return nil, err
	}
	s.qos = byte(qos)
	if s.retain, err = a.TakeBool("retain"); err != nil {
		return nil, err
	}
	s.login, err = newLogin(&a)
	return s, err
}

// newLogin takes what both directions need of an address.
func newLogin(a *connect.Address) (login, error) {
	l := login{secure: strings.EqualFold(a.URL.Scheme, "mqtts"), host: a.URL.Hostname(), port: a.URL.Port(), id: a.Take("client-id")}
	if l.host == "" {
		return l, errors.New("the address has no host: write mqtt://host:1883?topic=NAME")
	}
	if l.port == "" {
		l.port = map[bool]string{false: "1883", true: "8883"}[l.secure]
	}
	if l.named = l.id != ""; !l.named {
		l.id = a.Name
	}
	if a.URL.User != nil {
		l.user = a.URL.User.Username()
		l.password, l.hasPassword = a.URL.User.Password()
	}
	return l, nil
}

func sum(text string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text)) // never fails
	return h.Sum32()
}
