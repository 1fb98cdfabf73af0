package web

import (
	"net/http"
	"strconv"
	"strings"
)

// run runs one command on a connection of its own, and returns its reply for JSON.
func (x *exchange) run(args ...string) (any, error) {
	defer x.endShown()
	return x.show(args...)
}

// show is run for a reply that the answer shows: its connection ends behind that, and counts for the memory of both.
func (x *exchange) show(args ...string) (any, error) {
	c, err := x.open()
	if err != nil {
		return nil, err
	}
	x.shown = c
	reply, err := c.do(args...)
	return toJSON(reply), err
}

// showObject is show for a command whose reply is a map.
func (x *exchange) showObject(args ...string) (object, error) {
	v, err := x.show(args...)
	o, _ := v.(object)
	return o, err
}

// withMatch appends the glob of the query, if there is one.
func (x *exchange) withMatch(args ...string) []string {
	if match := x.request.URL.Query().Get("match"); match != "" {
		args = append(args, match)
	}
	return args
}

// getTopics is GET /topics: the names with subscriptions.
func (x *exchange) getTopics() error {
	stats, err := x.showObject(x.withMatch("PUBSUB", "STATS")...)
	if err != nil {
		return err
	}
	rows, _ := stats.get("busiest").([]any)
	topics := make([]any, len(rows))
	for i, row := range rows {
		o, _ := row.(object)
		topics[i] = o.pick("name", "kind", "subscribers")
	}
	return x.json(object{{"names", stats.get("names")}, {"topics", topics}})
}

// getStats is GET /stats: what became of the messages, in all and for the busiest names.
func (x *exchange) getStats() error {
	return x.once(x.withMatch("PUBSUB", "STATS"), func(reply any) any {
		stats, _ := toJSON(reply).(object)
		return append(object{{"epoch", x.server.service.Epoch()}}, stats...)
	})
}

// getEndings is GET /endings: how many connections ended, by reason.
func (x *exchange) getEndings() error {
	return x.once([]string{"INFO", "stats", "clients"}, func(reply any) any {
		ended, connected := object{}, 0
		text, _ := reply.([]byte)
		for line := range strings.SplitSeq(string(text), "\r\n") {
			name, value, _ := strings.Cut(line, ":")
			n, _ := strconv.Atoi(value) // a field that is read here is a number
			if reason, ok := strings.CutPrefix(name, "ended_"); ok {
				ended = append(ended, field{reason, n})
			} else if name == "connected_clients" {
				connected = n
			}
		}
		return object{{"connected", connected}, {"ended", ended}}
	})
}

// getSubscribers is GET /topics/{topic}/subscribers.
func (x *exchange) getSubscribers() error {
	topic, err := x.topic()
	if err != nil {
		return err
	}
	who, err := x.showObject("PUBSUB", "WHO", topic)
	if err != nil {
		return err
	}
	return x.json(object{{"topic", []byte(topic)}, {"subscriptions", who.get("subscriptions")}, {"subscribers", who.get("first")}})
}

// getWhy is GET /topics/{topic}/why: what became of the last messages to a topic.
func (x *exchange) getWhy() error {
	topic, err := x.topic()
	if err != nil {
		return err
	}
	args := []string{"PUBSUB", "WHY", topic}
	if client := x.request.URL.Query().Get("client"); client != "" {
		args = append(args, client)
	}
	why, err := x.showObject(args...)
	if err != nil {
		return err
	}
	return x.json(why)
}

// getConnections is GET /connections: the lines of CLIENT LIST as objects.
func (x *exchange) getConnections() error {
	list, err := x.show("CLIENT", "LIST")
	if err != nil {
		return err
	}
	text, _ := list.([]byte)
	all := []any{}
	for line := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n") {
		all = append(all, connectionOf(line))
	}
	return x.json(object{{"connections", all}})
}

// connectionOf makes an object of a line of CLIENT LIST. A word without = belongs to the value
// before: the path of a Unix socket may hold spaces.
func connectionOf(line string) object {
	var o object
	for word := range strings.SplitSeq(line, " ") {
		name, value, ok := strings.Cut(word, "=")
		if !ok && len(o) > 0 {
			last := &o[len(o)-1]
			if before, isText := last.value.(string); isText {
				last.value = before + " " + word
			}
			continue
		}
		o = append(o, field{name, value})
	}
	for i := range o {
		if n, err := strconv.ParseInt(o[i].value.(string), 10, 64); err == nil && !textFields[o[i].name] {
			o[i].value = n
		}
	}
	return o
}

// textFields are the fields of CLIENT LIST that stay text if they look like numbers.
var textFields = map[string]bool{"name": true, "user": true, "lib-name": true, "lib-ver": true, "addr": true, "laddr": true}

// deleteConnection is DELETE /connections/{id}.
func (x *exchange) deleteConnection() error {
	killed, err := x.run("CLIENT", "KILL", "ID", x.params["id"])
	if err != nil {
		return err
	}
	if killed == int64(0) {
		return &problem{Status: http.StatusNotFound, Detail: "no other connection has this id"}
	}
	return x.noContent()
}
