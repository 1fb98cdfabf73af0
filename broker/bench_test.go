package broker

import (
	"context"
	"fmt"
	"testing"
)

// idler is an Owner that costs next to nothing, so that a benchmark measures the core.
type idler struct{ onApplied func() }

func (*idler) Admit(*Request) bool                  { return true }
func (*idler) Published(*Request, int)              {}
func (*idler) Subscribed(*Request, []byte, int)     {}
func (*idler) Unsubscribed(*Request, []byte, int)   {}
func (*idler) Answer(*Request, View)                {}
func (*idler) Message(*Message, *Subscription) bool { return false }
func (*idler) Flush()                               {}
func (*idler) Ended(Ending, any)                    {}

func (o *idler) Applied(*Batch) {
	if o.onApplied != nil {
		o.onApplied()
	}
}

// benchmark gives f a running core, and a function that submits and waits until the batch comes back.
func benchmark(b *testing.B, f func(b *testing.B, submit func(from *idler, s *Subscriber, requests []Request))) {
	b.ReportAllocs()
	ctx, stop := context.WithCancel(b.Context())
	core := New(Options{})
	go core.Run(ctx)
	defer func() { stop(); <-core.done }()
	back := make(chan struct{}, 1)
	handBack := func() { back <- struct{}{} }
	batch := &Batch{}
	f(b, func(from *idler, s *Subscriber, requests []Request) {
		from.onApplied = handBack
		batch.From, batch.Requests = s, requests
		core.Submit(batch)
		<-back
	})
}

func newIdler() (*idler, *Subscriber) {
	o := &idler{}
	return o, NewSubscriber(o)
}

// One operation is one message published, to all its receivers.
func BenchmarkPublish(b *testing.B) {
	for _, receivers := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("receivers=%d", receivers), func(b *testing.B) {
			benchmark(b, func(b *testing.B, submit func(*idler, *Subscriber, []Request)) {
				for range receivers {
					o, s := newIdler()
					submit(o, s, []Request{subscribe("news")})
				}
				o, s := newIdler()
				batch := make([]Request, 64)
				for i := range batch {
					batch[i] = publish("news", "sixteen bytes...")
				}
				b.ResetTimer()
				for left := b.N; left > 0; left -= len(batch) {
					submit(o, s, batch[:min(left, len(batch))])
				}
			})
		})
	}
}

// One operation is a subscribe to a topic that nobody else has, and its end, among 100,000 others that stay.
func BenchmarkChurnAmongManyTopics(b *testing.B) {
	benchmark(b, func(b *testing.B, submit func(*idler, *Subscriber, []Request)) {
		for range 100 {
			o, s := newIdler()
			names := make([]string, 1000)
			for i := range names {
				names[i] = fmt.Sprintf("topic-%p-%d", o, i)
			}
			submit(o, s, []Request{subscribe(names...)})
		}
		o, s := newIdler()
		batch := make([]Request, 0, 64)
		for i := range 32 {
			name := fmt.Sprintf("churn-%d", i)
			batch = append(batch, subscribe(name), unsubscribe(name))
		}
		b.ResetTimer()
		for left := 2 * b.N; left > 0; left -= len(batch) {
			submit(o, s, batch[:min(left, len(batch))])
		}
	})
}

// One operation is one of a thousand members that leaves the topic.
func BenchmarkLeaveATopicOfAThousand(b *testing.B) {
	benchmark(b, func(b *testing.B, submit func(*idler, *Subscriber, []Request)) {
		const members = 1000
		join, part := []Request{subscribe("news")}, []Request{leave()}
		owners, subs := make([]*idler, members), make([]*Subscriber, members)
		b.ResetTimer()
		for left := b.N; left > 0; left -= members {
			b.StopTimer()
			for i := range members {
				owners[i], subs[i] = newIdler()
				submit(owners[i], subs[i], join)
			}
			b.StartTimer()
			for i := range min(left, members) {
				submit(owners[i], subs[i], part)
			}
			b.StopTimer()
			for i := min(left, members); i < members; i++ {
				submit(owners[i], subs[i], part)
			}
			b.StartTimer()
		}
	})
}
