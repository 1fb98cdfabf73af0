package client

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// script turns words into events: a5<3 is message 5 of topic a, which was owed 3 before; *5<3 the same of pattern *; -a
// reports a loss of a; E:x begins epoch x; ! is an error.
func script(t *testing.T, words string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		epoch := "e"
		for _, word := range strings.Fields(words) {
			var e Event
			var err error
			switch {
			case word == "!":
				err = errors.New("!")
			case strings.HasPrefix(word, "E:"):
				epoch = word[2:]
				e = &Reconnected{Epoch: epoch}
			case word[0] == '-':
				e = &Missed{Name: word[1:]}
			default:
				m := &Message{Topic: word[:1], Epoch: epoch}
				if word[0] == '*' {
					m.Pattern = "*"
				}
				_, serr := fmt.Sscanf(word[1:], "%d<%d", &m.Sequence, &m.Previous)
				require.NoError(t, serr, word)
				e = m
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// ordered passes a script through InOrder and formats the result.
func ordered(t *testing.T, words string, window int, subs ...*Subscription) string {
	var out []string
	for e, err := range InOrder(script(t, words), window, subs...) {
		switch e := e.(type) {
		case nil:
			out = append(out, err.Error())
		case *Message:
			out = append(out, fmt.Sprint(e.Sequence))
		case *Late:
			out = append(out, fmt.Sprintf("late%d/%d", e.Message.Sequence, e.After))
		case *Missed:
			out = append(out, "-"+e.Name)
		case *Reconnected:
			out = append(out, "E:"+e.Epoch)
		}
	}
	return strings.Join(out, " ")
}

func TestInOrder(t *testing.T) {
	tests := []struct {
		sentence, in string
		window       int
		want         string
	}{
		{"one name has its order already, and waits for nothing", "a1<0 a5<1 a9<5", 9, "1 5 9"},
		{"two names wait for each other", "a1<0 b2<0 a8<1 b5<2 b6<5 E:e b9<6", 9, "1 2 5 6 E:e 8 9"},
		{"consecutive sequences have nothing between them", "b1<0 a2<0 a3<2 a4<3", 9, "1 2 3 4"},
		{"a quiet name holds the others back, up to the window", "b1<0 a3<0 a5<3 a7<5 a9<7 -x", 2, "1 3 5 -x 7 9"},
		{"a message behind a larger one is Late", "b1<0 a3<0 a5<3 a7<5 b4<1 b8<4", 1, "1 3 5 late4/5 7 8"},
		{"a window of nothing delays nothing", "a5<0 b3<0 a6<5 b4<3", 0, "5 late3/5 6 late4/6"},
		{"a gap in a name waits for what was owed", "a1<0 a5<3 a3<1", 9, "1 3 5"},
		{"and for a chain of it", "a1<0 a9<7 a7<5 a5<3 -x a3<1 a10<9", 9, "1 -x 3 5 7 9 10"},
		{"unless its loss is reported", "a1<0 -a a5<3 -x a6<5", 9, "1 -a 5 -x 6"},
		{"of a pattern, too", "*1<0 -* *5<3 -x *6<5", 9, "1 -* 5 -x 6"},
		{"or the window is full", "a1<0 a5<3 a6<5 a8<6 a3<1", 2, "1 5 6 8 late3/8"},
		{"the same message may come by several names", "a1<0 *1<0 *4<1 a4<1", 9, "1 1 4 4"},
		{"the end hands out what is held", "b1<0 a3<0 a5<3", 9, "1 3 5"},
		{"and so does an error", "b1<0 a5<0 a3<0 ! b4<1", 9, "1 3 5 ! late4/5"},
		{"without sequences everything passes", "a0<0 b0<0 a0<0", 9, "0 0 0"},
		{"a new epoch begins anew", "b1<0 a7<0 E:f a2<0 b3<0 E:e b8<1 E:f a4<2", 9, "1 E:f 7 2 3 E:e late8/0 E:f 4"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			assert.Equal(t, test.want, ordered(t, test.in, test.window))
		})
	}
}

// A known name is waited for before its first message.
func TestInOrderOfKnownNames(t *testing.T) {
	assert.Equal(t, "5 late3/5 6", ordered(t, "a5<0 *3<0 a6<5", 9))
	s := &Subscription{names: newNameSet(Topic("a"), Pattern("*"))}
	out := []uint64{}
	for e, err := range InOrder(func(yield func(Event, error) bool) {
		for e, err := range script(t, "a5<0 *3<0 a6<5 E:f a2<0 *1<0") {
			if m, ok := e.(*Message); ok {
				m.from = s
			}
			if !yield(e, err) {
				return
			}
		}
	}, 9, s) {
		require.NoError(t, err)
		if m, ok := e.(*Message); ok {
			out = append(out, m.Sequence)
		}
	}
	assert.Equal(t, []uint64{3, 5, 6, 1, 2}, out)
}

// An added name is waited for before its first message, and a removed one no longer.
func TestInOrderOfChangedNames(t *testing.T) {
	one, two := &Subscription{names: newNameSet(Topic("a"))}, &Subscription{names: newNameSet(Topic("c"))}
	message := func(from *Subscription, topic string, seq, previous uint64) *Message {
		return &Message{Topic: topic, Sequence: seq, Previous: previous, from: from}
	}
	o := newOrderer(9, []*Subscription{one, two})
	var out []string
	for _, e := range []Event{
		&NamesChanged{Added: []Name{Topic("b")}, from: one},
		message(one, "a", 4, 0), message(two, "c", 5, 0), message(one, "b", 3, 0), message(one, "a", 6, 4),
		message(one, "a", 9, 6), message(two, "c", 10, 5), // b may have something before
		&NamesChanged{Removed: []Name{Topic("b")}, from: one},
		message(one, "a", 20, 9), message(two, "c", 30, 10),
		&NamesChanged{Removed: []Name{Topic("a")}, from: one},
		&NamesChanged{Removed: []Name{Topic("c")}, from: two},
	} {
		o.handle(e)
		for _, e := range o.ready {
			if m, ok := e.(*Message); ok {
				out = append(out, fmt.Sprint(m.Sequence))
			} else {
				out = append(out, describe(e))
			}
		}
		o.ready = o.ready[:0]
	}
	assert.Equal(t, []string{
		"names changed: [b] added, [] removed", "3", "4", "5", "6",
		"names changed: [] added, [b] removed", "9", "10", "20",
		"names changed: [] added, [a] removed", "30", "names changed: [] added, [c] removed",
	}, out)
	assert.Empty(t, o.names)
}

// Any mixture of several names comes out in order and complete. Each name must keep its order, and the window be as
// large as the distance between them.
func TestInOrderOfAnyMixture(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		queues := make([][]*Message, 1+rng.IntN(5))
		last := make([]uint64, len(queues))
		sub := &Subscription{}
		for q := range queues {
			sub.names.add([]Name{Topic(fmt.Sprint(q))})
		}
		total := 0
		for seq := uint64(1); seq <= 200; seq++ {
			if q := rng.IntN(len(queues) + 1); q < len(queues) {
				queues[q] = append(queues[q], &Message{Topic: fmt.Sprint(q), Sequence: seq, Previous: last[q], from: sub})
				last[q], total = seq, total+1
			}
		}
		mixed := func(yield func(Event, error) bool) {
			for left := total; left > 0; {
				if q := rng.IntN(len(queues)); len(queues[q]) > 0 {
					if !yield(queues[q][0], nil) {
						return
					}
					queues[q] = queues[q][1:]
					left--
				}
			}
		}
		var before uint64
		for e, err := range InOrder(mixed, 200, sub) {
			require.NoError(t, err)
			require.Less(t, before, e.(*Message).Sequence, "seed %d", seed)
			before = e.(*Message).Sequence
			total--
		}
		require.Zero(t, total, "seed %d", seed)
	}
}

func TestInOrderBreaksOff(t *testing.T) {
	for _, words := range []string{"a1<0 a2<1 a3<2", "b1<0 a5<0 a3<0 !", "b1<0 a5<0 a6<5"} {
		for last := range uint64(4) {
			for e, err := range InOrder(script(t, words), 9) {
				if m, ok := e.(*Message); !ok || m.Sequence > last {
					assert.Equal(t, ok, err == nil)
					break
				}
			}
		}
	}
}

// The state does not grow with losses.
func TestOrdererReleasesWhatItYielded(t *testing.T) {
	o := newOrderer(4, nil)
	for i := range uint64(1000) {
		o.handle(&Message{Topic: "a", Sequence: 10 * i, Previous: 10*i - 5})
		assert.LessOrEqual(t, len(o.held), 4)
	}
	assert.LessOrEqual(t, len(o.names[nameKey{name: "a"}].waiting), 4)
}

func TestMerge(t *testing.T) {
	make2 := func() (*Subscription, *Subscription) {
		a := &Subscription{events: make(chan Event, 9), err: errors.New("a ended")}
		b := &Subscription{events: make(chan Event, 9), err: errors.New("b ended")}
		for i := range uint64(9) {
			a.events <- &Message{Topic: "a", Sequence: i}
			b.events <- &Message{Topic: "b", Sequence: i}
		}
		return a, b
	}
	a, b := make2()
	close(a.events)
	close(b.events)
	next := map[string]uint64{}
	var ends []string
	for e, err := range Merge(t.Context(), a, b) {
		if err != nil {
			ends = append(ends, err.Error())
			continue
		}
		m := e.(*Message)
		assert.Equal(t, next[m.Topic], m.Sequence)
		next[m.Topic]++
	}
	assert.Equal(t, map[string]uint64{"a": 9, "b": 9}, next)
	assert.ElementsMatch(t, []string{"a ended", "b ended"}, ends)

	a, b = make2()
	for _, err := range Merge(t.Context(), a, b) {
		assert.NoError(t, err)
		break
	}
	assert.Equal(t, 17, len(a.events)+len(b.events), "nothing is taken that is not yielded")
	close(a.events)
	for range len(a.events) {
		<-a.events
	}
	for range len(b.events) {
		<-b.events
	}
	for _, err := range Merge(t.Context(), a, b) {
		assert.EqualError(t, err, "a ended")
		break
	}
	for _, err := range Merge(canceled(), b) {
		assert.ErrorContains(t, err, "no event: context canceled")
	}
}
