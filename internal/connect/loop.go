package connect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/conchmq/conch/internal/command"
)

// maxPassed bounds the ids of a conch-via header: a message that went through so many goes no further as one that is known.
const maxPassed = 32

// hasPassed reports whether an id is among those of a conch-via header.
func hasPassed(ids, id string) bool {
	for len(ids) > 0 {
		var first string
		first, ids, _ = strings.Cut(ids, ",")
		if strings.TrimSpace(first) == id {
			return true
		}
	}
	return false
}

// addPassed adds an id to the conch-via header of a message. It changes a copy.
func addPassed(h []Header, id string) []Header {
	h = slices.Clone(h)
	for i := range h {
		if strings.EqualFold(h[i].Name, via) {
			ids := strings.Split(h[i].Value, ",")
			h[i].Value = strings.Join(append(ids[max(0, len(ids)-maxPassed+1):], id), ",")
			return h
		}
	}
	return append(h, Header{via, id})
}

// places are the keys of addresses that name the same kind of thing on both sides.
var places = [][]string{{"queue", "key"}, {"subject"}, {"channel", "pattern"}, {"stream"}, {"topic"}}

// CheckLoops refuses a sink that writes what a source of this process reads, and that brings it back to the sink's topic. Its error names both.
// Where conch cannot know what is routed to the place that is read, as with an exchange, a loop is cut when messages come back.
func CheckLoops(plans []*Plan) error {
	for _, sink := range plans {
		if sink.Direction != command.Sink {
			continue
		}
		if sink.Dead != "" && mayMeet(globOf(sink.Topic), sink.Dead) {
			return fmt.Errorf("the dead letters of sink %s would come back to it: %s is among %s", sink.Name, sink.Dead, sink.Topic)
		}
		for _, source := range plans {
			if source.Direction == command.Source && closesLoop(source, sink) {
				return fmt.Errorf("a loop: sink %s writes where source %s reads, and that publishes to topics of the sink; change a topic or a place", sink.Name, source.Name)
			}
		}
	}
	return nil
}

func closesLoop(source, sink *Plan) bool {
	if source.target.System != sink.target.System || !sameHosts(source.target.Hosts, sink.target.Hosts) || source.target.URL.Path != sink.target.URL.Path {
		return false
	}
	if !mayMeet(globOf(source.topic.glob()), globOf(sink.Topic)) {
		return false
	}
	if sink.target.Query.Get("exchange") != "" {
		return false // the other side decides what it routes there
	}
	named := false
	for _, keys := range places {
		reads, writes := valuesOf(source, keys), valuesOf(sink, keys)
		named = named || len(reads) > 0 || len(writes) > 0
		for _, r := range reads {
			for _, w := range writes {
				if mayMeet(wild(r), wild(w)) {
					return true
				}
			}
		}
	}
	return !named // the path alone is the place
}

func valuesOf(p *Plan, keys []string) (values []string) {
	for _, key := range keys {
		values = append(values, p.target.Query[key]...)
	}
	return values
}

// sameHosts reports whether two addresses have a host in common. A port that is left out may be any.
func sameHosts(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			xHost, xPort := hostPort(x)
			yHost, yPort := hostPort(y)
			if xHost == yHost && (xPort == yPort || xPort == "" || yPort == "") {
				return true
			}
		}
	}
	return false
}

func hostPort(text string) (host, port string) {
	host = text
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, ']') {
		host, port = text[:i], text[i+1:]
	}
	switch host = strings.ToLower(strings.Trim(host, "[]")); host {
	case "127.0.0.1", "::1":
		host = "localhost"
	}
	return host, port
}

// globOf is a pattern of Redis as a glob that knows * alone, and matches as much or more.
func globOf(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '\\':
			if i++; i < len(pattern) {
				b.WriteByte(pattern[i]) // an escaped * may be anything, too
			}
		case '?':
			b.WriteByte('*')
		case '[':
			b.WriteByte('*')
			if end := strings.IndexByte(pattern[i:], ']'); end > 0 {
				i += end
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// wild is a place with the wildcards of all systems and parts of templates as *.
func wild(place string) string {
	var b strings.Builder
	for i := 0; i < len(place); i++ {
		switch c := place[i]; c {
		case '{':
			b.WriteByte('*')
			if end := strings.IndexByte(place[i:], '}'); end > 0 {
				i += end
			}
		case '>', '#', '+', '?', '[', ']':
			b.WriteByte('*')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// mayMeet reports whether a text is matched by both globs, which know * alone.
func mayMeet(a, b string) bool {
	// reached[j] means that what was read of a can match what b has before j.
	reached := make([]bool, len(b)+1)
	reached[0] = true
	for j := 0; j < len(b) && b[j] == '*'; j++ {
		reached[j+1] = true
	}
	for i := range len(a) {
		next := make([]bool, len(b)+1)
		next[0] = reached[0] && a[i] == '*'
		for j := range len(b) {
			if a[i] == '*' || b[j] == '*' {
				next[j+1] = next[j] || reached[j+1] // one more of the other's, or none
			} else {
				next[j+1] = reached[j] && a[i] == b[j]
			}
		}
		reached = next
	}
	return reached[len(b)]
}
