package command

import (
	"time"

	"github.com/conchmq/conch/broker"
)

// waitKind is what the messages of a subscription wait for. All but waitReplay are of the whole connection: its frames are in one
// order.
type waitKind uint8

const (
	waitNothing waitKind = iota
	waitEnd              // the connection is closing
	waitReplay           // messages of the past come first
	waitLog              // a record is not synced
	waitReply            // a reply with entries is being read
	waitClient           // the client has yet to read
)

var waitNames = [...]string{
	waitNothing: "", waitEnd: "end", waitReplay: "replay", waitLog: "log", waitReply: "reply", waitClient: "client",
}

// waitState is what the messages of a subscription wait for.
type waitState struct {
	kind  waitKind
	bytes int64         // that wait in the outbox
	idle  time.Duration // since the client took the last of them
	// position is how far a replay has come, 0 before it begins; target is the number up to which it goes at least.
	position, target uint64
}

// waitOf finds what the messages of a subscription wait for, so many of which are in the outbox.
func (e *executor) waitOf(sub *broker.Subscription, waiting int64, now time.Duration) waitState {
	p := e.outbox.Progress(now)
	x := waitState{bytes: p.Bytes, idle: p.Idle}
	switch {
	case e.closing || e.outbox.IsEvicted():
		x.kind = waitEnd
	case !sub.Joined():
		x.kind = waitReplay
		if f := e.feeder.Load(); f != nil && f.waiting[sub] != nil {
			x.position, x.target = f.at.Load(), f.waiting[sub].after
		}
	case waiting == 0:
	case p.Barrier:
		x.kind = waitLog
	case p.Place:
		x.kind = waitReply
	default:
		x.kind = waitClient
	}
	return x
}
