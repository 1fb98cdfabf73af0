package main

import (
	"fmt"

	"github.com/redis/rueidis"

	"github.com/conchmq/conch/test/compat/go/check"
)

func (p *publisher) Another() (check.Sharer, error) {
	c, err := rueidis.NewClient(p.options)
	return &publisher{c, p.options}, err
}

func (p *publisher) Close() { p.c.Close() }

func (p *publisher) do(command rueidis.Completed) rueidis.RedisResult { return p.c.Do(ctx, command) }

func (p *publisher) ReversedRange(stream string, count int64) ([]check.Entry, error) {
	got, err := p.do(p.c.B().Xrevrange().Key(stream).End("+").Start("-").Count(count).Build()).AsXRange()
	return entries(got), err
}

func (p *publisher) DeleteEntries(stream string, ids ...string) (int64, error) {
	return p.do(p.c.B().Xdel().Key(stream).Id(ids...).Build()).AsInt64()
}

func (p *publisher) Trim(stream string, length int64) (int64, error) {
	return p.do(p.c.B().Xtrim().Key(stream).Maxlen().Exact().Threshold(fmt.Sprint(length)).Build()).AsInt64()
}

func (p *publisher) SetLast(stream, id string) error {
	return p.do(p.c.B().Xsetid().Key(stream).LastId(id).Build()).Error()
}

func (p *publisher) Info(stream string) (int64, string, error) {
	info, err := p.do(p.c.B().XinfoStream().Key(stream).Build()).AsMap()
	if err != nil {
		return 0, "", err
	}
	length, last := info["length"], info["last-generated-id"]
	n, err := length.AsInt64()
	if err != nil {
		return 0, "", err
	}
	id, err := last.ToString()
	return n, id, err
}

func (p *publisher) CreateGroup(stream, group string) error {
	return p.do(p.c.B().XgroupCreate().Key(stream).Group(group).Id("0").Mkstream().Build()).Error()
}

func (p *publisher) SetGroup(stream, group, id string) error {
	return p.do(p.c.B().XgroupSetid().Key(stream).Group(group).Id(id).Build()).Error()
}

func (p *publisher) DestroyGroup(stream, group string) (int64, error) {
	return p.do(p.c.B().XgroupDestroy().Key(stream).Group(group).Build()).AsInt64()
}

func (p *publisher) CreateConsumer(stream, group, consumer string) (int64, error) {
	return p.do(p.c.B().XgroupCreateconsumer().Key(stream).Group(group).Consumer(consumer).Build()).AsInt64()
}

func (p *publisher) DeleteConsumer(stream, group, consumer string) (int64, error) {
	return p.do(p.c.B().XgroupDelconsumer().Key(stream).Group(group).Consumername(consumer).Build()).AsInt64()
}

func (p *publisher) ReadGroup(stream, group, consumer, id string, count int64) ([]check.Entry, error) {
	got, err := p.do(p.c.B().Xreadgroup().Group(group, consumer).Count(count).Block(check.Patience.Milliseconds()).
		Streams().Key(stream).Id(id).Build()).AsXRead()
	return entries(got[stream]), err
}

func (p *publisher) Acknowledge(stream, group string, ids ...string) (int64, error) {
	return p.do(p.c.B().Xack().Key(stream).Group(group).Id(ids...).Build()).AsInt64()
}

// Pending has no type of its own in the library: count, first id, last id, and pairs.
func (p *publisher) Pending(stream, group string) (int64, map[string]int64, error) {
	got, err := p.do(p.c.B().Xpending().Key(stream).Group(group).Build()).ToArray()
	if err != nil || len(got) != 4 {
		return 0, nil, fmt.Errorf("%v: %w", got, err)
	}
	of := map[string]int64{}
	pairs, err := got[3].ToArray()
	if err != nil {
		return 0, nil, err
	}
	for _, pair := range pairs {
		words, err := pair.AsStrSlice()
		if err != nil || len(words) != 2 {
			return 0, nil, fmt.Errorf("%v: %w", pair, err)
		}
		n := int64(0)
		if _, err := fmt.Sscan(words[1], &n); err != nil {
			return 0, nil, err
		}
		of[words[0]] = n
	}
	n, err := got[0].AsInt64()
	return n, of, err
}

func (p *publisher) PendingOf(stream, group, consumer string) (ids []string, deliveries []int64, err error) {
	got, err := p.do(p.c.B().Xpending().Key(stream).Group(group).Start("-").End("+").Count(10).Consumer(consumer).Build()).ToArray()
	for _, entry := range got {
		values, err := entry.ToArray()
		if err != nil || len(values) != 4 {
			return nil, nil, fmt.Errorf("%v: %w", entry, err)
		}
		id, err := values[0].ToString()
		if err != nil {
			return nil, nil, err
		}
		n, err := values[3].AsInt64()
		if err != nil {
			return nil, nil, err
		}
		ids, deliveries = append(ids, id), append(deliveries, n)
	}
	return ids, deliveries, err
}

func (p *publisher) Claim(stream, group, consumer string, ids ...string) ([]check.Entry, error) {
	got, err := p.do(p.c.B().Xclaim().Key(stream).Group(group).Consumer(consumer).MinIdleTime("0").Id(ids...).Build()).AsXRange()
	return entries(got), err
}

func (p *publisher) AutoClaim(stream, group, consumer string) (string, []check.Entry, error) {
	got, err := p.do(p.c.B().Xautoclaim().Key(stream).Group(group).Consumer(consumer).MinIdleTime("0").Start("0").Count(10).Build()).ToArray()
	if err != nil || len(got) != 3 {
		return "", nil, fmt.Errorf("%v: %w", got, err)
	}
	next, err := got[0].ToString()
	if err != nil {
		return "", nil, err
	}
	claimed, err := got[1].AsXRange()
	return next, entries(claimed), err
}

// all are the maps of an answer, which are pairs in RESP2.
func (p *publisher) all(command rueidis.Completed) (maps []map[string]rueidis.RedisMessage, err error) {
	got, err := p.do(command).ToArray()
	for _, one := range got {
		m, err := one.AsMap()
		if err != nil {
			return nil, err
		}
		maps = append(maps, m)
	}
	return maps, err
}

// text and number are a value of a map, and nothing if it has no such value.
func text(m map[string]rueidis.RedisMessage, name string) string {
	value := m[name]
	text, _ := value.ToString()
	return text
}

func number(m map[string]rueidis.RedisMessage, name string) int64 {
	value := m[name]
	n, err := value.AsInt64()
	if err != nil {
		return -1
	}
	return n
}

func (p *publisher) Groups(stream string) (groups []check.Group, err error) {
	got, err := p.all(p.c.B().XinfoGroups().Key(stream).Build())
	for _, g := range got {
		groups = append(groups, check.Group{
			Name: text(g, "name"), Consumers: number(g, "consumers"), Pending: number(g, "pending"),
			Last: text(g, "last-delivered-id"), Lag: number(g, "lag"),
		})
	}
	return groups, err
}

func (p *publisher) Consumers(stream, group string) (map[string]int64, error) {
	got, err := p.all(p.c.B().XinfoConsumers().Key(stream).Group(group).Build())
	pending := map[string]int64{}
	for _, c := range got {
		pending[text(c, "name")] = number(c, "pending")
	}
	return pending, err
}

func (p *publisher) Release(stream, group string, ids ...string) (int64, error) {
	return p.do(p.c.B().Xnack().Key(stream).Group(group).Fail().Ids().Numids(int64(len(ids))).Id(ids...).Build()).AsInt64()
}

// ReadReleased takes the answer apart: the library's own types have no place for the idle time and the count of deliveries.
func (p *publisher) ReadReleased(stream, group, consumer string) (released []check.Entry, err error) {
	got, err := p.do(p.c.B().Xreadgroup().Group(group, consumer).Count(10).Claim(fmt.Sprint(check.Patience.Milliseconds())).
		Streams().Key(stream).Id(">").Build()).ToMessage()
	if err != nil {
		return nil, err
	}
	var all []rueidis.RedisMessage
	if streams, err := got.ToMap(); err == nil {
		of := streams[stream]
		all, _ = of.ToArray()
	} else if pairs, err := got.ToArray(); err == nil && len(pairs) == 1 { // RESP2
		if pair, err := pairs[0].ToArray(); err == nil && len(pair) == 2 {
			all, _ = pair[1].ToArray()
		}
	}
	for _, one := range all {
		entry, err := one.ToArray()
		if err != nil || len(entry) != 4 {
			return nil, fmt.Errorf("not an id, fields, an idle time and a count: %v: %w", one, err)
		}
		id, err := entry[0].ToString()
		if err != nil {
			return nil, err
		}
		fields, err := entry[1].AsStrSlice()
		if err != nil || len(fields) != 2 {
			return nil, fmt.Errorf("not one field: %v: %w", one, err)
		}
		released = append(released, check.Entry{ID: id, Field: fields[0] + " " + fields[1]})
	}
	return released, nil
}

func (p *publisher) AcknowledgeAndDelete(stream, group string, ids ...string) ([]int64, error) {
	return p.do(p.c.B().Xackdel().Key(stream).Group(group).Acked().Ids().Numids(int64(len(ids))).Id(ids...).Build()).AsIntSlice()
}

func (p *publisher) DeleteAcknowledged(stream string, ids ...string) ([]int64, error) {
	return p.do(p.c.B().Xdelex().Key(stream).Acked().Ids().Numids(int64(len(ids))).Id(ids...).Build()).AsIntSlice()
}
