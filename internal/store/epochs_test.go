package store

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/log"
)

func TestPositionsOfEarlierEpochs(t *testing.T) {
	const one, two, three, now = 0xa1, 0xa2, 0xa3, 0xa4
	epochs := []log.Epoch{
		{ID: one, First: 1, Last: 10, Clean: false},
		{ID: two, First: 11, Last: 20, Clean: true},
		{ID: three, First: 21, Last: 20, Clean: true}, // nothing was published
		{ID: now, First: 21},
	}
	for _, test := range []struct {
		sentence string
		epoch    uint64
		number   uint64
		ok       bool
	}{
		{"a number of an epoch that ended cleanly", two, 15, true},
		{"the number behind its last", two, 21, true},
		{"a number that it never gave", two, 22, false},
		{"an epoch without messages", three, 21, true},
		{"an epoch that was cut off: more may have come", one, 5, false},
		{"an epoch of another directory", 0xb1, 5, false},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			same, ok := resolve(epochs, epochName(test.epoch), test.number)
			assert.Equal(t, test.ok, ok)
			if ok {
				assert.Equal(t, test.number, same)
			}
		})
	}
	assert.Equal(t, []string{epochName(three), epochName(two)}, earlier(epochs))
	assert.Empty(t, earlier(nil))
	_, ok := resolve(epochs, "no epoch", 1)
	assert.False(t, ok)
	_, ok = resolve(nil, epochName(one), 1)
	assert.False(t, ok)
}
