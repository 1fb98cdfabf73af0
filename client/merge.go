package client

import (
	"context"
	"fmt"
	"iter"
	"reflect"
)

// Merge iterates over the events of several subscriptions as they arrive, each subscription in its own order. A
// subscription that ends yields the error of its Next, and the others continue. The iteration ends with the last
// subscription or with the error of ctx. A loop that breaks off loses nothing: only yielded events are taken from a
// subscription.
func Merge(ctx context.Context, subs ...*Subscription) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		open := append([]*Subscription{}, subs...)
		cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}}
		for _, s := range open {
			cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(s.events)})
		}
		for len(open) > 0 {
			i, e, ok := reflect.Select(cases)
			switch {
			case i == 0:
				yield(nil, fmt.Errorf("no event: %w", ctx.Err()))
				return
			case ok:
				if !yield(e.Interface().(Event), nil) {
					return
				}
				continue
			}
			ended := open[i-1]
			cases = append(cases[:i], cases[i+1:]...)
			open = append(open[:i-1], open[i:]...)
			if !yield(nil, ended.err) {
				return
			}
		}
	}
}
