package check

import "fmt"

// Sharer shares the entries of a stream among consumers of a group, in the library's own words for it.
type Sharer interface {
	Streamer
	Another() (Sharer, error) // on a connection of its own
	Close()

	ReversedRange(stream string, count int64) ([]Entry, error)
	DeleteEntries(stream string, ids ...string) (int64, error)
	Trim(stream string, length int64) (int64, error)
	SetLast(stream, id string) error
	Info(stream string) (length int64, last string, err error)

	CreateGroup(stream, group string) error // from the beginning, with the stream
	SetGroup(stream, group, id string) error
	DestroyGroup(stream, group string) (int64, error)
	CreateConsumer(stream, group, consumer string) (int64, error)
	DeleteConsumer(stream, group, consumer string) (int64, error)
	// ReadGroup waits for entries if it is to read new ones.
	ReadGroup(stream, group, consumer, id string, count int64) ([]Entry, error)
	Acknowledge(stream, group string, ids ...string) (int64, error)
	Pending(stream, group string) (int64, map[string]int64, error)
	PendingOf(stream, group, consumer string) (ids []string, deliveries []int64, err error)
	Claim(stream, group, consumer string, ids ...string) ([]Entry, error)
	AutoClaim(stream, group, consumer string) (next string, claimed []Entry, err error)
	Groups(stream string) ([]Group, error)
	Consumers(stream, group string) (map[string]int64, error)
}

// Releaser has the commands of Redis 8, which not every server has.
type Releaser interface {
	Release(stream, group string, ids ...string) (int64, error)
	ReadReleased(stream, group, consumer string) ([]Entry, error)
	AcknowledgeAndDelete(stream, group string, ids ...string) ([]int64, error)
	DeleteAcknowledged(stream string, ids ...string) ([]int64, error)
}

// Group is a group as XINFO GROUPS has it.
type Group struct {
	Name               string
	Consumers, Pending int64
	Last               string
	Lag                int64
}

// course is a group of three consumers, one of which dies.
type course struct {
	main                  Sharer
	stream                string
	all                   []Entry
	acked                 map[string]int // how often an entry was acknowledged
	first, second, doomed Sharer
}

const group = "workers"

// Share has a library work on a stream by a group of consumers, of which one dies and is claimed from.
func (r *Report) Share(s Sharer) {
	c := &course{main: s, stream: Topic("jobs"), acked: map[string]int{}}
	r.Try("a group of three consumers", c.begin)
	r.Try("a consumer dies", c.die)
	r.Try("its entries are claimed", c.claim)
	r.Try("a consumer waits", c.wait)
	if Conch() {
		r.Try("commands of Redis 8", c.released)
	} else {
		r.Skip("commands of Redis 8", "this server is older")
	}
	r.Try("the end of the group", c.end)
}

// equal reports what was asked, what came and what was meant.
func equal[T any](what string, got, want T, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		return fmt.Errorf("%s: %s, not %s", what, g, w)
	}
	return nil
}

func (c *course) append(n int) error {
	id, err := c.main.Append(c.stream, "*", "job", fmt.Sprint(n))
	c.all = append(c.all, Entry{id, fmt.Sprint("job ", n)})
	return err
}

func (c *course) begin() (err error) {
	if err := c.main.CreateGroup(c.stream, group); err != nil {
		return err
	}
	if err := c.main.CreateGroup(c.stream, group); err == nil {
		return fmt.Errorf("XGROUP CREATE of a group that is there: no error")
	}
	for i := range 12 {
		if err := c.append(i); err != nil {
			return err
		}
	}
	for _, one := range []*Sharer{&c.first, &c.second, &c.doomed} {
		if *one, err = c.main.Another(); err != nil {
			return err
		}
	}
	n, err := c.first.CreateConsumer(c.stream, group, "first")
	return equal("XGROUP CREATECONSUMER", n, 1, err)
}

// die leaves three entries of the consumer that dies, and one that it has acknowledged.
func (c *course) die() error {
	for i, one := range []struct {
		name string
		s    Sharer
		acks int
	}{{"doomed", c.doomed, 1}, {"first", c.first, 4}, {"second", c.second, 3}} {
		want := c.all[4*i : 4*i+4]
		got, err := one.s.ReadGroup(c.stream, group, one.name, ">", 4)
		if err := equal("XREADGROUP "+one.name, got, want, err); err != nil {
			return err
		}
		if err := c.acknowledge(one.s, want[:one.acks]...); err != nil {
			return err
		}
	}
	c.doomed.Close()
	again, err := c.second.ReadGroup(c.stream, group, "second", "0", 10)
	if err := equal("XREADGROUP, what is pending", again, c.all[11:], err); err != nil {
		return err
	}
	return c.acknowledge(c.second, again...)
}

func (c *course) acknowledge(s Sharer, entries ...Entry) error {
	ids := ids(entries)
	for _, id := range ids {
		c.acked[id]++
	}
	n, err := s.Acknowledge(c.stream, group, ids...)
	return equal("XACK", n, int64(len(ids)), err)
}

func ids(entries []Entry) (list []string) {
	for _, e := range entries {
		list = append(list, e.ID)
	}
	return list
}

func (c *course) claim() error {
	left := c.all[1:4]
	n, of, err := c.main.Pending(c.stream, group)
	if err := equal("XPENDING", fmt.Sprint(n, of), fmt.Sprint(3, map[string]int64{"doomed": 3}), err); err != nil {
		return err
	}
	pending, deliveries, err := c.main.PendingOf(c.stream, group, "doomed")
	if err := equal("XPENDING with a range", fmt.Sprint(pending, deliveries), fmt.Sprint(ids(left), []int64{1, 1, 1}), err); err != nil {
		return err
	}
	got, err := c.first.Claim(c.stream, group, "first", left[0].ID)
	if err := equal("XCLAIM", got, left[:1], err); err != nil {
		return err
	}
	_, deliveries, err = c.main.PendingOf(c.stream, group, "first")
	if err := equal("deliveries of a claimed entry", deliveries, []int64{2}, err); err != nil {
		return err
	}
	if err := c.acknowledge(c.first, got...); err != nil {
		return err
	}
	next, got, err := c.second.AutoClaim(c.stream, group, "second")
	if err := equal("XAUTOCLAIM", fmt.Sprintf("%s %v", next, got), fmt.Sprintf("0-0 %v", left[1:]), err); err != nil {
		return err
	}
	if err := c.acknowledge(c.second, got...); err != nil {
		return err
	}
	for _, e := range c.all {
		if c.acked[e.ID] != 1 {
			return fmt.Errorf("%s was acknowledged %d times", e.ID, c.acked[e.ID])
		}
	}
	return c.counts(0)
}

// counts checks what the server counts of the group.
func (c *course) counts(pending int64) error {
	groups, err := c.main.Groups(c.stream)
	want := []Group{{group, 3, pending, c.all[len(c.all)-1].ID, 0}}
	if err := equal("XINFO GROUPS", groups, want, err); err != nil {
		return err
	}
	consumers, err := c.main.Consumers(c.stream, group)
	return equal("XINFO CONSUMERS", consumers, map[string]int64{"doomed": 0, "first": pending, "second": 0}, err)
}

// wait has a consumer get what is appended while it waits, or a moment before.
func (c *course) wait() error {
	type answer struct {
		entries []Entry
		err     error
	}
	read := make(chan answer, 1)
	go func() {
		got, err := c.first.ReadGroup(c.stream, group, "first", ">", 1)
		read <- answer{got, err}
	}()
	if err := c.append(12); err != nil {
		return err
	}
	got := <-read
	if err := equal("XREADGROUP BLOCK", got.entries, c.all[12:], got.err); err != nil {
		return err
	}
	return c.counts(1)
}

// released goes on with the one entry that is pending: it is released, read again, acknowledged and deleted.
func (c *course) released() error {
	r := c.second.(Releaser)
	last := c.all[12]
	n, err := r.Release(c.stream, group, last.ID)
	if err := equal("XNACK", n, 1, err); err != nil {
		return err
	}
	got, err := r.ReadReleased(c.stream, group, "second")
	if err := equal("XREADGROUP CLAIM", got, []Entry{last}, err); err != nil {
		return err
	}
	kept, err := r.DeleteAcknowledged(c.stream, last.ID)
	if err := equal("XDELEX ACKED of a pending entry", kept, []int64{2}, err); err != nil {
		return err
	}
	deleted, err := r.AcknowledgeAndDelete(c.stream, group, last.ID)
	if err := equal("XACKDEL", deleted, []int64{1}, err); err != nil {
		return err
	}
	return c.append(12) // what the rest of the course expects
}

func (c *course) end() error {
	defer c.first.Close()
	defer c.second.Close()
	if got, err := c.main.ReversedRange(c.stream, 1); err != nil || len(got) != 1 || got[0] != c.all[len(c.all)-1] {
		return fmt.Errorf("XREVRANGE: %v: %w", got, err)
	}
	n, err := c.main.DeleteEntries(c.stream, c.all[0].ID, c.all[1].ID)
	if err := equal("XDEL", n, 2, err); err != nil {
		return err
	}
	n, err = c.main.Trim(c.stream, 5)
	if err := equal("XTRIM", n, 6, err); err != nil {
		return err
	}
	if err := c.main.SetLast(c.stream, "9999999999999-0"); err != nil {
		return fmt.Errorf("XSETID: %w", err)
	}
	length, last, err := c.main.Info(c.stream)
	if err := equal("XINFO STREAM", fmt.Sprintf("%d %s", length, last), "5 9999999999999-0", err); err != nil {
		return err
	}
	if err := c.main.SetGroup(c.stream, group, "0"); err != nil {
		return fmt.Errorf("XGROUP SETID: %w", err)
	}
	again, err := c.first.ReadGroup(c.stream, group, "first", ">", 100)
	if err := equal("XREADGROUP behind XGROUP SETID", len(again), 5, err); err != nil {
		return err
	}
	n, err = c.main.DeleteConsumer(c.stream, group, "first")
	if err := equal("XGROUP DELCONSUMER", n, 5, err); err != nil {
		return err
	}
	n, err = c.main.DestroyGroup(c.stream, group)
	if err := equal("XGROUP DESTROY", n, 1, err); err != nil {
		return err
	}
	if _, err := c.first.ReadGroup(c.stream, group, "first", ">", 1); err == nil {
		return fmt.Errorf("XREADGROUP of a group that has ended: no error")
	}
	n, err = c.main.Delete(c.stream)
	return equal("DEL", n, 1, err)
}
