package broker

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// nopConn is a Conn that costs next to nothing, so that a benchmark measures the core.
type nopConn struct {
	NopConn
	onApplied func()
	index     *Index // the last when it submitted
}

func (o *nopConn) Applied(*Batch) {
	if o.onApplied != nil {
		o.onApplied()
	}
}

// benchmark gives f a running core, and a function that submits and waits until the batch comes back.
func benchmark(b *testing.B, f func(b *testing.B, submit func(from *nopConn, s *Subscriber, requests []Request))) {
	b.ReportAllocs()
	ctx, stop := context.WithCancel(b.Context())
	core, v := newJudged(Options{})
	go core.Run(ctx)
	defer func() { stop(); <-core.done }()
	back := make(chan struct{}, 1)
	handBack := func() { back <- struct{}{} }
	batch := &Batch{}
	f(b, func(from *nopConn, s *Subscriber, requests []Request) {
		from.onApplied = handBack
		batch.From, batch.Requests = s, requests
		from.index = v.last()
		batch.Version = from.index.Version()
		core.Submit(batch)
		<-back
	})
}

func newIdler() (*nopConn, *Subscriber) {
	o := &nopConn{}
	return o, NewSubscriber(o)
}

// One operation is one message published, to all its receivers: 64 messages a batch, each a request of its own or all
// in one run.
func BenchmarkPublish(b *testing.B) {
	single := make([]Request, 64)
	for i := range single {
		single[i] = publish("news", "sixteen bytes...")
	}
	run := publish("news", slices.Repeat([]string{"sixteen bytes..."}, 64)...)
	for _, receivers := range []int{1, 100, 1000} {
		for name, batch := range map[string][]Request{"single": single, "run": {run}} {
			b.Run(fmt.Sprintf("receivers=%d/%s", receivers, name), func(b *testing.B) {
				benchmark(b, func(b *testing.B, submit func(*nopConn, *Subscriber, []Request)) {
					for range receivers {
						o, s := newIdler()
						submit(o, s, []Request{subscribe("news")})
					}
					o, s := newIdler()
					b.ResetTimer()
					for left := b.N; left > 0; left -= 64 {
						submit(o, s, batch)
					}
				})
			})
		}
	}
}

// conditions makes so many of them. None is evaluated: verdicts are given.
func conditions(n int) []*condition {
	out := make([]*condition, n)
	for i := range out {
		out[i] = &condition{word: strconv.Itoa(i)}
	}
	return out
}

// withVerdicts is a publish for which one of the predicates that it reaches says yes, and all others no.
func withVerdicts(q Request, x *Index) Request {
	var f Finder
	found, _ := f.Find(x, q.Kind, q.Names[0])
	q.Judgements = []Judgement{found[0][0].Verdict(Yes)}
	return q
}

// together subscribes to all at once.
func together(requests []Request) []Request {
	all := requests[0]
	for _, q := range requests[1:] {
		all.Names, all.Filters = append(all.Names, q.Names...), append(all.Filters, q.Filters...)
	}
	return []Request{all}
}

// One operation is one message published to a topic with so many predicates, all verdicts given. One
// matches, and one subscriber gets the message.
func BenchmarkPublishToPredicates(b *testing.B) {
	for _, count := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("predicates=%d", count), func(b *testing.B) {
			benchmark(b, func(b *testing.B, submit func(*nopConn, *Subscriber, []Request)) {
				all := conditions(count)
				for _, p := range all {
					o, s := newIdler()
					submit(o, s, []Request{where(p, subscribe("news"))})
				}
				o, s := newIdler()
				submit(o, s, []Request{answer()}) // behind the last predicate
				batch := make([]Request, 64)
				for i := range batch {
					batch[i] = withVerdicts(publish("news", "sixteen bytes..."), o.index)
				}
				b.ResetTimer()
				for left := b.N; left > 0; left -= len(batch) {
					submit(o, s, batch[:min(left, len(batch))])
				}
			})
		})
	}
}

// One operation is one message published to a topic without predicates, to one receiver, while others have so many.
func BenchmarkPublishBesidePredicates(b *testing.B) {
	for _, count := range []int{0, 1, 10_000} {
		b.Run(fmt.Sprintf("elsewhere=%d", count), func(b *testing.B) {
			benchmark(b, func(b *testing.B, submit func(*nopConn, *Subscriber, []Request)) {
				for i, p := range conditions(count) {
					o, s := newIdler()
					submit(o, s, []Request{where(p, subscribe(fmt.Sprintf("other-%d", i%100)))})
				}
				o, s := newIdler()
				submit(o, s, []Request{subscribe("news")})
				batch := slices.Repeat([]Request{publish("news", "sixteen bytes...")}, 64)
				b.ResetTimer()
				for left := b.N; left > 0; left -= len(batch) {
					submit(o, s, batch[:min(left, len(batch))])
				}
			})
		})
	}
}

// One operation is a subscribe with a predicate that nobody else has, and its end, among others on the same name: of
// others, or of the same subscriber.
func BenchmarkChurnAmongPredicates(b *testing.B) {
	for _, count := range []int{10, 10_000} {
		for name, alone := range map[string]bool{"of-others": false, "all-its-own": true} {
			b.Run(fmt.Sprintf("predicates=%d/%s", count, name), func(b *testing.B) {
				benchmark(b, func(b *testing.B, submit func(*nopConn, *Subscriber, []Request)) {
					o, s := newIdler()
					for _, p := range conditions(count) {
						if !alone {
							o, s = newIdler()
						}
						submit(o, s, []Request{where(p, subscribe("news"))})
					}
					if !alone {
						o, s = newIdler()
					}
					var batch []Request
					for i := range 32 {
						p := &condition{word: fmt.Sprint("churn ", i)}
						batch = append(batch, where(p, subscribe("news")), where(p, unsubscribe("news")))
					}
					b.ResetTimer()
					for i := range 2 * b.N {
						batch[i%len(batch)].Waited = false
						submit(o, s, batch[i%len(batch):][:1])
					}
				})
			})
		}
	}
}

// One operation is a subscriber that leaves with so many predicates on one name.
func BenchmarkLeaveManyPredicates(b *testing.B) {
	for _, count := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("predicates=%d", count), func(b *testing.B) {
			benchmark(b, func(b *testing.B, submit func(*nopConn, *Subscriber, []Request)) {
				var join []Request
				for _, p := range conditions(count) {
					join = append(join, where(p, subscribe("news")))
				}
				for range b.N {
					b.StopTimer()
					o, s := newIdler()
					submit(o, s, together(join))
					b.StartTimer()
					for left := count; left > 0; left -= maxDropsPerRequest {
						submit(o, s, []Request{leave()})
					}
				}
			})
		})
	}
}

// One operation is a subscribe to a topic that nobody else has, and its end, among 100,000 others that stay.
func BenchmarkChurnAmongManyTopics(b *testing.B) {
	benchmark(b, func(b *testing.B, submit func(*nopConn, *Subscriber, []Request)) {
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
	benchmark(b, func(b *testing.B, submit func(*nopConn, *Subscriber, []Request)) {
		const members = 1000
		join, part := []Request{subscribe("news")}, []Request{leave()}
		owners, subs := make([]*nopConn, members), make([]*Subscriber, members)
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

// One operation is the look-up of whom a topic reaches, by patterns alone: no message is delivered. The cost must not
// follow the number of patterns, unless they differ only in their middle, see index.
func BenchmarkMatchAmongPatterns(b *testing.B) {
	run := strings.Repeat("a", 4096)
	tests := []struct {
		name   string
		counts []int
		glob   func(i int) string
		topic  func(topic []byte, i int) []byte
	}{
		{"one-topic", []int{10, 10_000}, of("user.%d.*"), same("user.7.login")},
		{"prefix", []int{10, 10_000}, of("user.%d.*"), spread("user.", ".login")},
		{"suffix", []int{10, 10_000}, of("*.%d.error"), spread("disk.", ".error")},
		{"both", []int{10, 10_000}, of("user.*.%d"), spread("user.login.", "")},
		{"never-repeating", []int{10, 10_000}, of("user.%d.*"), counted("user.7.")},
		{"no-match", []int{10, 10_000}, of("user.%d.*"), counted("order.")},
		{"near-miss", []int{10, 10_000}, of("user.%d.*"), spread("user.", "")},
		{"middle", []int{10, 10_000}, of("*.%d.*"), spread("user.", ".login")},
		{"topic-of-4KiB", []int{10, 10_000}, of("aaaa%d*"), spread(run[4:], "")},
		{"every-prefix-length", []int{10, 4096}, func(i int) string { return run[:i] + "b*" }, spread(run[4:], "")},
		{"every-prefix-and-suffix-length", []int{10, 10_000}, func(i int) string {
			return run[:20*(i/100)] + "*b" + run[:20*(i%100)+1]
		}, spread("", run[4:])},
		{"stars", []int{10, 4096}, func(i int) string { return strings.Repeat("*", i+1) }, spread("user.", "")},
	}
	for _, test := range tests {
		for _, count := range test.counts {
			b.Run(fmt.Sprintf("%s/patterns=%d", test.name, count), func(b *testing.B) {
				b.ReportAllocs()
				core := New(Options{}) // never run: nobody but this goroutine uses it
				for i := range count {
					core.getOrCreate(Pattern, []byte(test.glob(i)))
				}
				var topic []byte
				for i := 0; b.Loop(); i++ {
					topic = test.topic(topic[:0], i*7919%count)
					core.match(Topic, topic)
				}
				b.ReportMetric(float64(len(core.matched)), "found")
			})
		}
	}
}

func of(format string) func(int) string { return func(i int) string { return fmt.Sprintf(format, i) } }

// spread makes topics that fit one pattern after the other, so that none is found in the processor's cache for free.
func spread(before, after string) func([]byte, int) []byte {
	return func(topic []byte, i int) []byte {
		return append(strconv.AppendInt(append(topic, before...), int64(i), 10), after...)
	}
}

func same(name string) func([]byte, int) []byte {
	return func(topic []byte, _ int) []byte { return append(topic, name...) }
}

// counted makes a topic that was never there before.
func counted(before string) func([]byte, int) []byte {
	n := int64(0)
	return func(topic []byte, _ int) []byte {
		n++
		return strconv.AppendInt(append(topic, before...), n, 10)
	}
}

// One operation is one message published to the one pattern of many that it matches.
func BenchmarkPublishAmongPatterns(b *testing.B) {
	for _, glob := range []string{"user.%d.*", "*.%d.user", "user.*.%d"} {
		for _, count := range []int{10, 10_000} {
			b.Run(fmt.Sprintf("%s/patterns=%d", glob, count), func(b *testing.B) {
				benchmark(b, func(b *testing.B, submit func(*nopConn, *Subscriber, []Request)) {
					for i := range count {
						o, s := newIdler()
						submit(o, s, []Request{psubscribe(fmt.Sprintf(glob, i))})
					}
					o, s := newIdler()
					topic := fmt.Sprintf(strings.Replace(glob, "*", "login", 1), 7)
					batch := make([]Request, 64)
					for i := range batch {
						batch[i] = publish(topic, "sixteen bytes...")
					}
					b.ResetTimer()
					for left := b.N; left > 0; left -= len(batch) {
						submit(o, s, batch[:min(left, len(batch))])
					}
				})
			})
		}
	}
}

// One operation is a subscribe to a pattern that nobody else has, and its end, among others that stay.
func BenchmarkChurnAmongPatterns(b *testing.B) {
	for _, count := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("patterns=%d", count), func(b *testing.B) {
			x := &patternIndex{}
			for i := range count {
				x.add(&subscriberSet{name: fmt.Sprintf("user.%d.*", i)})
			}
			churn := &subscriberSet{name: fmt.Sprintf("user.%d.x*", count/2)}
			b.ReportAllocs()
			for b.Loop() {
				x.add(churn)
				x.remove(churn)
			}
		})
	}
}
