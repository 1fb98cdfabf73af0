package cli

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/conchmq/conch/client"
)

// sample is what a server reports at one time. Rates are those since the sample before, for each second.
type sample struct {
	Time        time.Time       `json:"time"`
	Version     string          `json:"version"`
	Epoch       string          `json:"epoch"`
	Uptime      int64           `json:"uptime_seconds"`
	Sequence    int64           `json:"sequence"`
	Connections int64           `json:"connections"`
	Blocked     int64           `json:"blocked"`
	Names       int             `json:"names"` // topics, patterns and shards with a subscription
	Memory      int64           `json:"memory_bytes"`
	Rates       *rates          `json:"rates,omitempty"` // nil in the first sample, and behind a restart
	Lost        losses          `json:"lost"`
	Topics      []topTopic      `json:"topics"`
	Slowest     []topConnection `json:"slowest"`
	Connectors  []topConnector  `json:"connectors"`
	// Denied are the commands whose replies are missing, with the reason.
	Denied []string `json:"denied,omitempty"`

	runID string
	total rates
}

// rates are counts of the server, or what they have grown by in a second.
type rates struct {
	Published float64 `json:"published"`
	Delivered float64 `json:"delivered"`
	Commands  float64 `json:"commands"`
	BytesIn   float64 `json:"bytes_in"`
	BytesOut  float64 `json:"bytes_out"`
}

// losses are counts since the start of the server.
type losses struct {
	Dropped     int64 `json:"dropped"`
	Undelivered int64 `json:"undelivered"`
	Bytes       int64 `json:"bytes"`
	Slow        int64 `json:"slow_disconnections"`
}

// topTopic is a topic, a pattern or a shard.
type topTopic struct {
	Name        string  `json:"name"`
	Kind        string  `json:"kind"`
	Subscribers int64   `json:"subscribers"`
	Published   int64   `json:"published"`
	Rate        float64 `json:"published_rate"`
	Delivered   int64   `json:"delivered"`
	Filtered    int64   `json:"filtered"`
	Dropped     int64   `json:"dropped"`
	Queued      int64   `json:"queued"`
}

// topConnection is a connection.
type topConnection struct {
	ID        int64   `json:"id"`
	Address   string  `json:"address"`
	User      string  `json:"user"`
	Name      string  `json:"name"`
	Backlog   int64   `json:"backlog_bytes"`
	Delivered int64   `json:"delivered"`
	Rate      float64 `json:"delivered_rate"`
	Dropped   int64   `json:"dropped"`
}

// takeSample reads a sample. What the user may not read is named in Denied.
func takeSample(c *serverConn) (*sample, error) {
	s := &sample{Time: time.Now().UTC(), Topics: []topTopic{}, Slowest: []topConnection{}, Connectors: []topConnector{}}
	var denied error
	for _, part := range []struct {
		command []string
		read    func(c *serverConn) error
	}{
		{[]string{"INFO"}, s.readInfo},
		{[]string{"PUBSUB", "STATS"}, s.readTopics},
		{[]string{"CLIENT", "LIST"}, s.readConnections},
	} {
		err := c.send(part.command)
		if err == nil {
			err = part.read(c)
		}
		if refusal := new(client.Error); errors.As(err, &refusal) {
			denied = cmp.Or(denied, err)
			s.Denied = append(s.Denied, strings.Join(part.command, " ")+": "+refusal.Error())
		} else if err != nil {
			return nil, err
		}
	}
	if len(s.Denied) == 3 { // the reasons are alike
		return nil, denied
	}
	return s, nil
}

func (s *sample) readInfo(c *serverConn) error {
	text := &textCollector{}
	if err := printReply(c.r, text); err != nil {
		return err
	}
	lines := strings.Split(text.all, "\r\n")
	f := fieldsOf(lines, ":")
	s.Connectors = connectorsOf(lines)
	s.Version, s.Epoch, s.runID = cmp.Or(f["conch_version"], "Redis "+f["redis_version"]), f["epoch"], f["run_id"]
	s.Uptime, s.Sequence = number(f["uptime_in_seconds"]), number(f["sequence"])
	s.Connections, s.Blocked, s.Memory = number(f["connected_clients"]), number(f["blocked_clients"]), number(f["used_memory"])
	s.Lost = losses{
		number(f["messages_dropped"]), number(f["messages_undelivered"]), number(f["bytes_lost"]), number(f["client_output_buffer_limit_disconnections"]),
	}
	s.total = rates{
		float64(number(f["messages_published"])), float64(number(f["messages_delivered"])), float64(number(f["total_commands_processed"])),
		float64(number(f["total_net_input_bytes"])), float64(number(f["total_net_output_bytes"])),
	}
	return nil
}

func (s *sample) readTopics(c *serverConn) error {
	t := &rowCollector{}
	if err := printReply(c.r, t); err != nil {
		return err
	}
	s.Names = int(number(t.fields["names"]))
	for _, row := range t.rows {
		s.Topics = append(s.Topics, topTopic{
			Name: row["name"], Kind: row["kind"], Subscribers: number(row["subscribers"]), Published: number(row["published"]),
			Delivered: number(row["delivered"]), Filtered: number(row["filtered"]), Dropped: number(row["dropped"]), Queued: number(row["queued"]),
		})
	}
	return nil
}

func (s *sample) readConnections(c *serverConn) error {
	text := &textCollector{}
	if err := printReply(c.r, text); err != nil {
		return err
	}
	for line := range strings.Lines(text.all) {
		f := fieldsOf(strings.Fields(line), "=")
		s.Slowest = append(s.Slowest, topConnection{
			ID: number(f["id"]), Address: f["addr"], User: f["user"], Name: f["name"], Backlog: number(f["omem"]), Delivered: number(f["delivered"]),
			Dropped: number(f["dropped"]),
		})
	}
	return nil
}

// compare works out the rates, and sorts the rows: the busiest topics first, and the connections with the largest backlogs.
func (s *sample) compare(before *sample) {
	if before != nil && before.runID == s.runID {
		s.rate(before)
	}
	s.sortConnectors()
	slices.SortStableFunc(s.Topics, func(a, b topTopic) int {
		return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(b.Published, a.Published))
	})
	slices.SortStableFunc(s.Slowest, func(a, b topConnection) int {
		return cmp.Or(cmp.Compare(b.Backlog, a.Backlog), cmp.Compare(b.Dropped, a.Dropped), cmp.Compare(b.Rate, a.Rate))
	})
}

// rate works out what has grown since an earlier sample. Counts that shrink were reset: their rate is 0.
func (s *sample) rate(before *sample) {
	seconds := s.Time.Sub(before.Time).Seconds()
	rate := func(now, then float64) float64 { return max(now-then, 0) / seconds }
	b := &before.total
	s.Rates = &rates{
		rate(s.total.Published, b.Published), rate(s.total.Delivered, b.Delivered), rate(s.total.Commands, b.Commands), rate(s.total.BytesIn, b.BytesIn),
		rate(s.total.BytesOut, b.BytesOut),
	}
	published := make(map[[2]string]int64, len(before.Topics))
	for _, t := range before.Topics {
		published[[2]string{t.Kind, t.Name}] = t.Published
	}
	for i, t := range s.Topics {
		s.Topics[i].Rate = rate(float64(t.Published), float64(published[[2]string{t.Kind, t.Name}]))
	}
	s.rateConnectors(before, rate)
	delivered := make(map[int64]int64, len(before.Slowest))
	for _, c := range before.Slowest {
		delivered[c.ID] = c.Delivered
	}
	for i, c := range s.Slowest {
		s.Slowest[i].Rate = rate(float64(c.Delivered), float64(delivered[c.ID]))
	}
}

// shortened is the sample with so many rows at most.
func (s *sample) shortened(rows int) *sample {
	short := *s
	short.Topics, short.Slowest = s.Topics[:min(rows, len(s.Topics))], s.Slowest[:min(rows, len(s.Slowest))]
	short.Connectors = s.Connectors[:min(rows, len(s.Connectors))]
	return &short
}

// fieldsOf splits lines such as name:value.
func fieldsOf(lines []string, separator string) map[string]string {
	f := make(map[string]string, len(lines))
	for _, line := range lines {
		if name, value, ok := strings.Cut(line, separator); ok {
			f[name] = value
		}
	}
	return f
}

// number is 0 for what is no number: other servers lack some fields.
func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// textCollector keeps a reply of one text.
type textCollector struct {
	discardPrinter
	all string
}

func (t *textCollector) scalar(it item, _ place) { t.all = string(it.text) }

// rowCollector keeps a reply that is a map whose one list has a map for each row.
type rowCollector struct {
	discardPrinter
	fields map[string]string
	rows   []map[string]string
	name   string
}

func (t *rowCollector) begin(it item, at place) {
	switch {
	case at.depth == 0:
		t.fields = make(map[string]string)
	case it.kind == '%':
		t.rows = append(t.rows, make(map[string]string, it.count))
	}
}

func (t *rowCollector) scalar(it item, at place) {
	to := t.fields
	if at.depth > 1 && len(t.rows) > 0 {
		to = t.rows[len(t.rows)-1]
	}
	switch {
	case at.isKey:
		t.name = string(it.text)
	case at.within == '%':
		to[t.name] = string(it.text)
	}
}
