package cluster

import "time"

// Without takes something out of a node, so that tests show what would be wrong then.
func (o *Options) Without(what string) {
	switch what {
	case "dedup":
		o.without.dedup = true
	case "sequence":
		o.without.sequence = true
	case "chain":
		o.without.chain = true
	case "sync":
		o.without.sync = true
	case "caught-up":
		o.without.caughtUp = true
	default:
		panic(what)
	}
}

// Sent is called for each proposal that was sent, and is not committed yet.
func (o *Options) Sent(f func(token any)) { o.without.sent = f }

// Loses makes proposals get lost on their way to the leader.
func (o *Options) Loses(f func() bool) { o.without.loses = f }

// Trailing sets how many entries stay in the log at least.
func (o *Options) Trailing(n uint64) { o.trailing = n }

// UnderWay sets how many entries are on their way at once.
func (o *Options) UnderWay(n int) { o.underWay = n }

// Backlog sets how many bytes may wait to be applied.
func (o *Options) Backlog(n int) { o.backlog = n }

// Segment sets the size of the log's segments.
func (o *Options) Segment(size int64) { o.segment = size }

// Skew sets the node's clock.
func (o *Options) Skew(d time.Duration) { o.skew = d }
