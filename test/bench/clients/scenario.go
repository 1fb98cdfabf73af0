package main

// goroutines publish at the same time, in all scenarios and ways.
const goroutines = 64

// topic is what all publish to. Nobody has subscribed to it.
const topic = "orders.eu"

// scenario is the same work for all its ways.
type scenario struct {
	name        string // for --only
	title       string
	size        int   // of a payload, in bytes
	depth       int   // messages that one goroutine may have without acknowledgement
	connections []int // that are compared
	ways        []way
}

var scenarios = []scenario{
	{
		name: "64B", title: "64 bytes, 64 messages of each goroutine in flight", size: 64, depth: 64,
		connections: []int{1, 2, 4, 8, 16}, ways: deep,
	},
	{
		name: "4KiB", title: "4 KiB, 64 messages of each goroutine in flight", size: 4 << 10, depth: 64,
		connections: []int{1, 4, 16}, ways: deep,
	},
	{
		name: "single", title: "64 bytes, one message of each goroutine in flight", size: 64, depth: 1,
		connections: []int{1, 2, 4, 8, 16}, ways: single,
	},
}

// way is a library, used in one way.
type way struct {
	name   string // as it is shown
	only   int    // the only number of connections that it can have; 0: it can have any
	stream bool   // a call does not wait for the acknowledgement; what is in flight is bounded in all, by a window
	open   func(address string, o load) (library, error)
}

// library is a library's client, or several, connected.
type library interface {
	// sender makes the sender of one goroutine.
	sender(goroutine int) sender
	// flush returns when nothing is in flight any more.
	flush() error
	close() error
}

// sender publishes as many messages as may be in flight, and returns when all of them are acknowledged, each with its
// own reply, which says that nobody received it; in a stream it returns when they are taken.
type sender func() error

// load is what a library needs to know of the work.
type load struct {
	connections int
	size, depth int
}

func (l load) payload() []byte {
	b := make([]byte, l.size)
	for i := range b {
		b[i] = byte('a' + i%26)
	}
	return b
}

// deep are the fastest ways that each library has, given that many messages are there to be published.
var deep = []way{
	{name: "Publisher.Publish, Flush", stream: true, open: openStream},
	{name: "Publisher.PublishBatch, Wait", open: openBatch},
	{name: "go-redis Pipeline", open: openPipeline},
	{name: "go-redis AsyncAutoPipeline", open: openAsync},
	{name: "rueidis DoMulti", open: openDoMulti},
}

// single are the ways of those who publish one message and wait for its acknowledgement.
var single = []way{
	{name: "Client.Publish", only: 1, open: openClient},
	{name: "Publisher.Publish, Wait", open: openWait},
	{name: "go-redis Publish", open: openPublish},
	{name: "go-redis AutoPipeline", open: openAuto},
	{name: "rueidis Do", open: openDo},
}
