package command

import "github.com/conchmq/conch/broker"

// Deferred implements [broker.Replayer]. No command makes such a subscription.
func (e *executor) Deferred(*broker.Subscription, any, uint64) {}

// Dropped implements [broker.Replayer].
func (e *executor) Dropped(*broker.Subscription) {}
