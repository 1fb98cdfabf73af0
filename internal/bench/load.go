package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Range is the size of payloads in bytes. When Min and Max differ, sizes are uniform between them.
type Range struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

func (r Range) String() string {
	if r.Min == r.Max {
		return fmt.Sprintf("%d B", r.Min)
	}
	return fmt.Sprintf("%d-%d B", r.Min, r.Max)
}

// mean is the average size.
func (r Range) mean() int { return (r.Min + r.Max) / 2 }

// Load describes a load. The zero value of a field means its default.
type Load struct {
	Address     string        `json:"address"` // host:port
	Dialect     Dialect       `json:"dialect"`
	Publishers  int           `json:"publishers"`
	Subscribers int           `json:"subscribers"`      // each subscribes to all topics
	Topics      int           `json:"topics"`           // publishers alternate between them, message by message
	Spread      bool          `json:"spread,omitempty"` // each subscriber has one topic, and each topic as many subscribers
	Prefix      string        `json:"-"`                // of the topics' names; empty: bench:
	Size        Range         `json:"size"`
	Pipeline    int           `json:"pipeline"`    // commands a write
	Rate        float64       `json:"rate"`        // messages a second of all publishers; 0: unlimited
	Duration    time.Duration `json:"duration_ns"` // of the measured part
	WarmUp      time.Duration `json:"warm_up_ns"`  // the same load before it, not counted
	InFlight    int           `json:"in_flight"`   // messages that have not reached every subscriber, of all publishers
	PID         int           `json:"pid"`         // the server's process, for CPU and memory; 0: none
	Origin      *Origin       `json:"origin,omitempty"`

	// Dialer connects in place of a TCP connection to Address, e.g. with TLS. Address is a name then.
	Dialer             func(context.Context) (net.Conn, error) `json:"-"`
	Username, Password string                                  `json:"-"` // sent if either is set

	// StallTime ends a run without progress. Missing messages then count as lost. 0 is 5 s.
	StallTime time.Duration `json:"-"`
}

// Limits of a load. The stamp's format limits publishers and time.
const (
	maxPublishers  = 1 << 12
	maxSubscribers = 1 << 16
	maxTopics      = 1 << 20
	maxSize        = 1 << 29
	maxTime        = 24 * time.Hour
)

// Defaults of a load that are not 1.
const (
	defaultSize     = 64
	defaultPipeline = 64
	defaultDuration = 10 * time.Second
	defaultPrefix   = "bench:"

	defaultStallTime = 5 * time.Second
)

// The default of InFlight, in bytes: payload plus an overhead for each message. A server needs some messages in flight to
// batch; more would only fill sockets and exceed the processor's cache.
const (
	flightPerSubscriber = 4 << 20
	flightInAll         = 256 << 20
	flightOverhead      = 64
)

// Check sets the defaults and returns an error for an invalid field.
func (l *Load) Check() error {
	l.fill()
	if _, _, err := net.SplitHostPort(l.Address); err != nil && l.Dialer == nil {
		return fmt.Errorf("%q is not an address; expected host:port", l.Address)
	}
	for _, c := range []struct {
		name      string
		n, lo, hi int
	}{
		{"publishers", l.Publishers, 1, maxPublishers},
		{"subscribers", l.Subscribers, 1, maxSubscribers},
		{"topics", l.Topics, 1, maxTopics},
		{"pipeline", l.Pipeline, 1, 1 << 16},
		{"smallest size", l.Size.Min, 1, maxSize},
		{"largest size", l.Size.Max, l.Size.Min, maxSize},
		{"in-flight", l.InFlight, l.Publishers, 1 << 30},
		{"pid", l.PID, 0, 1 << 30},
	} {
		if c.n < c.lo || c.n > c.hi {
			return fmt.Errorf("%s is %d, expected %d to %d", c.name, c.n, c.lo, c.hi)
		}
	}
	switch {
	case l.Size.Min < stampLen:
		return fmt.Errorf("size is %d bytes; a payload needs at least %d, for the stamp that every message carries", l.Size.Min, stampLen)
	case l.Rate < 0 || l.Rate > 1e9:
		return fmt.Errorf("rate is %g, expected 0 to 1e9 messages a second", l.Rate)
	case l.Duration < time.Millisecond || l.WarmUp < 0 || l.Duration+l.WarmUp > maxTime:
		return fmt.Errorf("duration and warm-up together are %v, expected 1ms to %v", l.Duration+l.WarmUp, maxTime)
	case l.Dialect < RESP2 || l.Dialect > Raw:
		return fmt.Errorf("%v is unknown", l.Dialect)
	case l.Spread && l.Subscribers%l.Topics != 0:
		return fmt.Errorf("%d subscribers cannot be spread evenly over %d topics", l.Subscribers, l.Topics)
	case l.Spread && l.Dialect == Raw && l.Topics > 1:
		return errors.New("the relay has no topics: it takes no load that is spread over them")
	case l.Dialect == Raw && l.Size.Min != l.Size.Max:
		return errors.New("the relay takes messages of one size only")
	}
	return nil
}

// receivers is the number of subscribers that get each message.
func (l *Load) receivers() int {
	if l.Spread {
		return l.Subscribers / l.Topics
	}
	return l.Subscribers
}

func (l *Load) fill() {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&l.Publishers, 1}, {&l.Subscribers, 1}, {&l.Topics, 1}, {&l.Pipeline, defaultPipeline}, {&l.Size.Min, defaultSize},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if l.Size.Max == 0 {
		l.Size.Max = l.Size.Min
	}
	if l.Duration == 0 {
		l.Duration = defaultDuration
	}
	if l.Prefix == "" {
		l.Prefix = defaultPrefix
	}
	if l.InFlight == 0 && l.Publishers > 0 && l.Subscribers > 0 {
		bytes := min(flightPerSubscriber, flightInAll/l.Subscribers)
		l.InFlight = max(bytes/(l.Size.mean()+flightOverhead), l.Publishers*l.Pipeline)
	}
}
