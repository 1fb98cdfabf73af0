package main

import (
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/conchmq/conch/test/compat/go/check"
)

func (p *publisher) Another() (check.Sharer, error) {
	c := redis.NewClient(p.c.Options())
	return &publisher{c}, c.Ping(ctx).Err()
}

func (p *publisher) Close() { _ = p.c.Close() }

func (p *publisher) ReversedRange(stream string, count int64) ([]check.Entry, error) {
	got, err := p.c.XRevRangeN(ctx, stream, "+", "-", count).Result()
	return entries(got), err
}

func (p *publisher) DeleteEntries(stream string, ids ...string) (int64, error) {
	return p.c.XDel(ctx, stream, ids...).Result()
}

func (p *publisher) Trim(stream string, length int64) (int64, error) {
	return p.c.XTrimMaxLen(ctx, stream, length).Result()
}

// SetLast has no method of its own in the library.
func (p *publisher) SetLast(stream, id string) error { return p.c.Do(ctx, "XSETID", stream, id).Err() }

func (p *publisher) Info(stream string) (int64, string, error) {
	info, err := p.c.XInfoStream(ctx, stream).Result()
	if err != nil {
		return 0, "", err
	}
	full, err := p.c.XInfoStreamFull(ctx, stream, 1).Result()
	if err == nil && (len(full.Groups) != 1 || len(full.Entries) != 1) {
		err = fmt.Errorf("XINFO STREAM FULL: %+v", full)
	}
	return info.Length, info.LastGeneratedID, err
}

func (p *publisher) CreateGroup(stream, group string) error {
	return p.c.XGroupCreateMkStream(ctx, stream, group, "0").Err()
}

func (p *publisher) SetGroup(stream, group, id string) error {
	return p.c.XGroupSetID(ctx, stream, group, id).Err()
}

func (p *publisher) DestroyGroup(stream, group string) (int64, error) {
	return p.c.XGroupDestroy(ctx, stream, group).Result()
}

func (p *publisher) CreateConsumer(stream, group, consumer string) (int64, error) {
	return p.c.XGroupCreateConsumer(ctx, stream, group, consumer).Result()
}

func (p *publisher) DeleteConsumer(stream, group, consumer string) (int64, error) {
	return p.c.XGroupDelConsumer(ctx, stream, group, consumer).Result()
}

func (p *publisher) ReadGroup(stream, group, consumer, id string, count int64) ([]check.Entry, error) {
	return p.readGroup(&redis.XReadGroupArgs{
		Group: group, Consumer: consumer, Streams: []string{stream, id}, Count: count, Block: check.Patience,
	})
}

func (p *publisher) readGroup(a *redis.XReadGroupArgs) ([]check.Entry, error) {
	got, err := p.c.XReadGroup(ctx, a).Result()
	if err != nil || len(got) != 1 {
		return nil, fmt.Errorf("%d streams: %w", len(got), err)
	}
	return entries(got[0].Messages), nil
}

func (p *publisher) Acknowledge(stream, group string, ids ...string) (int64, error) {
	return p.c.XAck(ctx, stream, group, ids...).Result()
}

func (p *publisher) Pending(stream, group string) (int64, map[string]int64, error) {
	got, err := p.c.XPending(ctx, stream, group).Result()
	if err != nil {
		return 0, nil, err
	}
	return got.Count, got.Consumers, nil
}

func (p *publisher) PendingOf(stream, group, consumer string) (ids []string, deliveries []int64, err error) {
	got, err := p.c.XPendingExt(ctx, &redis.XPendingExtArgs{
		Stream: stream, Group: group, Start: "-", End: "+", Count: 10, Consumer: consumer,
	}).Result()
	for _, e := range got {
		ids, deliveries = append(ids, e.ID), append(deliveries, e.RetryCount)
	}
	return ids, deliveries, err
}

func (p *publisher) Claim(stream, group, consumer string, ids ...string) ([]check.Entry, error) {
	got, err := p.c.XClaim(ctx, &redis.XClaimArgs{Stream: stream, Group: group, Consumer: consumer, Messages: ids}).Result()
	return entries(got), err
}

func (p *publisher) AutoClaim(stream, group, consumer string) (string, []check.Entry, error) {
	got, next, err := p.c.XAutoClaim(ctx, &redis.XAutoClaimArgs{
		Stream: stream, Group: group, Consumer: consumer, Start: "0", Count: 10,
	}).Result()
	return next, entries(got), err
}

func (p *publisher) Groups(stream string) (groups []check.Group, err error) {
	got, err := p.c.XInfoGroups(ctx, stream).Result()
	for _, g := range got {
		groups = append(groups, check.Group{Name: g.Name, Consumers: g.Consumers, Pending: g.Pending, Last: g.LastDeliveredID, Lag: g.Lag})
	}
	return groups, err
}

func (p *publisher) Consumers(stream, group string) (map[string]int64, error) {
	got, err := p.c.XInfoConsumers(ctx, stream, group).Result()
	pending := map[string]int64{}
	for _, c := range got {
		pending[c.Name] = c.Pending
	}
	return pending, err
}

func (p *publisher) Release(stream, group string, ids ...string) (int64, error) {
	return p.c.XNack(ctx, &redis.XNackArgs{Stream: stream, Group: group, Mode: redis.XNackModeFail, IDs: ids}).Result()
}

func (p *publisher) ReadReleased(stream, group, consumer string) ([]check.Entry, error) {
	return p.readGroup(&redis.XReadGroupArgs{
		Group: group, Consumer: consumer, Streams: []string{stream, ">"}, Count: 10, Block: -1, Claim: check.Patience,
	})
}

func (p *publisher) AcknowledgeAndDelete(stream, group string, ids ...string) ([]int64, error) {
	return numbers(p.c.XAckDel(ctx, stream, group, "ACKED", ids...))
}

func (p *publisher) DeleteAcknowledged(stream string, ids ...string) ([]int64, error) {
	return numbers(p.c.XDelEx(ctx, stream, "ACKED", ids...))
}

func numbers(command *redis.SliceCmd) (all []int64, err error) {
	got, err := command.Result()
	for _, n := range got {
		n, ok := n.(int64)
		if !ok {
			return nil, fmt.Errorf("not numbers: %v", got)
		}
		all = append(all, n)
	}
	return all, err
}
