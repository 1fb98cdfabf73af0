package command

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/broker"
)

func TestNamesThatAPersonMayHaveMeant(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want likeness
	}{
		{"news", "News", likeFolded},
		{"news.eu", "news/eu", likeFolded},
		{"news.eu", "newseu", likeFolded},
		{"news", "news\n", likeFolded},
		{"news", `"news"`, likeFolded},
		{"news", "newz", likeLetter},
		{"news", "new", likeLetter},
		{"news", "newws", likeLetter},
		{"news", "nwes", likeLetter},
		{"news", "snew", unlike},
		{"ab", "ac", unlike}, // two letters are too few
		{"news", "news.eu", likePart},
		{"news.", "news.eu", likePart},
		{"news", "newspaper", unlike},
		{"news", "orders", unlike},
		{"", "news", unlike},
		{"", ".", likeFolded},
	} {
		assert.Equal(t, c.want, likenessOf(c.a, c.b), "%q and %q", c.a, c.b)
		assert.Equal(t, c.want, likenessOf(c.b, c.a), "%q and %q", c.b, c.a)
	}
}

func TestSimilarNamesAreTheClosest(t *testing.T) {
	s := similarNames{topic: "news"}
	for i := range 20 {
		s.add(similarName{name: fmt.Sprintf("news.%02d", i)})
	}
	s.add(similarName{name: "newz"})
	s.add(similarName{name: "NEWS"})
	s.add(similarName{name: "news"})
	var names []string
	for _, n := range s.names {
		names = append(names, n.name)
	}
	assert.Equal(t, []string{"NEWS", "newz", "news.00", "news.01", "news.02"}, names)
}

func TestTimesOfNumbers(t *testing.T) {
	var times numberTimes
	assert.EqualValues(t, -1, times.since(1, time.Hour), "nothing is known")
	second := func(n int) time.Duration { return time.Duration(n) * time.Second }
	for i := range 3 * maxNumberTimes {
		times.note(uint64(10*i+5), second(i))
		times.note(uint64(10*i+9), second(i)+second(1)/2) // of the same second
	}
	now := second(3 * maxNumberTimes)
	for _, i := range []int{2 * maxNumberTimes, 2*maxNumberTimes + 7, 3*maxNumberTimes - 1} {
		for _, number := range []int{10*i + 5, 10*i + 9, 10*i + 14} {
			assert.Equal(t, now-second(i), times.since(uint64(number), now), "number %d", number)
		}
	}
	assert.EqualValues(t, -1, times.since(uint64(20*maxNumberTimes+4), now), "it is too old")
	assert.EqualValues(t, -1, times.since(0, now))
	assert.Len(t, times.entries, maxNumberTimes)
}

func TestPublishesToTopicsThatNothingNames(t *testing.T) {
	var u unnamedPublishes
	number, _ := u.last(broker.Topic, []byte("a"))
	assert.Zero(t, number)
	u.note(broker.Topic, []byte("a"), 7, 3)
	u.note(broker.Topic, make([]byte, maxUnnamed+1), 8, 3)
	number, publisher := u.last(broker.Topic, []byte("a"))
	assert.Equal(t, []any{uint64(7), int64(3)}, []any{number, publisher})
	number, _ = u.last(broker.Shard, []byte("a"))
	assert.Zero(t, number, "a shard of that name is another one")
	number, _ = u.last(broker.Topic, make([]byte, maxUnnamed+1))
	assert.Zero(t, number, "a long name is left out")
	known := 0
	for i := range 10 * unnamedPlaces {
		u.note(broker.Topic, fmt.Appendf(nil, "%d", i), uint64(i+10), 3)
	}
	for range u.all() {
		known++
	}
	assert.LessOrEqual(t, known, unnamedPlaces)
	assert.Greater(t, known, unnamedPlaces/2)
}
