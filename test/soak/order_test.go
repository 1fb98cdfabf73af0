package soak

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// events reads a notation: "a1-5" is message 1-5 on topic a, "a!3" says that three of subscription a are missing, "a!?" that some are.
func events(text string) (all []event) {
	for _, word := range strings.Fields(text) {
		topic, rest := word[:1], word[1:]
		if n, ok := strings.CutPrefix(rest, "!"); ok {
			missed := int(n[0] - '0')
			if n == "?" {
				missed = unknown
			}
			all = append(all, event{topic: topic, missed: missed})
			continue
		}
		all = append(all, event{topic: topic, id: rest})
	}
	return all
}

// A subscriber of a and b, in a run in which c was published to as well.
func TestCheck(t *testing.T) {
	const all = "a1-0 b1-1 c1-2 a2-0 a2-1 b2-2"
	tests := []struct {
		sentence string
		got      string
		stayed   bool
		cut      bool // so was the witness
		want     verdict
	}{
		{"all of it", "a1-0 b1-1 a2-0 a2-1 b2-2", true, false, verdict{received: 5}},
		{"one is missing", "a1-0 b1-1 a2-1 b2-2", true, false, verdict{received: 4, unaccounted: 1}},
		{"the last is missing", "a1-0 b1-1 a2-0 a2-1", true, false, verdict{received: 4, unaccounted: 1}},
		{"the last is missing with the connection", "a1-0 b1-1 a2-0 a2-1", false, false, verdict{received: 4, undelivered: 1}},
		{"a hole does not go with the connection", "a1-0 a2-0", false, false, verdict{received: 2, unaccounted: 1, undelivered: 2}},
		{"told of", "a!1 b1-1 a2-0 a2-1 b2-2", true, false, verdict{received: 4, reported: 1}},
		{"told of several", "a1-0 b1-1 a!2 b2-2", true, false, verdict{received: 3, reported: 2}},
		{"told of without a number", "a1-0 b1-1 a!? a2-1 b2-2", true, false, verdict{received: 4, reported: 1}},
		{"told of without a number, and nothing is missing", "a1-0 b1-1 a!? a2-0 a2-1 b2-2", true, false, verdict{received: 5}},
		{"told of without a number, until a message comes", "a!? a1-0 b1-1 a2-1 b2-2", true, false, verdict{received: 4, unaccounted: 1}},
		{"told of without a number, in another topic", "b!? b1-1 a2-0 a2-1 b2-2", true, false, verdict{received: 4, unaccounted: 1}},
		{"told of, in another topic", "b!1 b1-1 a2-0 a2-1 b2-2", true, false, verdict{
			received: 4, unaccounted: 1, violations: []string{"1 messages of b were called missing and were not"},
		}},
		{"told too late", "a1-0 b1-1 a2-1 a!1 b2-2", true, false, verdict{
			received: 4, unaccounted: 1, violations: []string{"1 messages of a were called missing and were not"},
		}},
		{"swapped", "a1-0 b1-1 a2-1 a2-0 b2-2", true, false, verdict{
			received: 4, unaccounted: 1, violations: []string{"message 2-0 came again, or after message 2-1"},
		}},
		{"twice", "a1-0 a1-0 b1-1 a2-0 a2-1 b2-2", true, false, verdict{
			received: 5, violations: []string{"message 1-0 came again, or after message 1-0"},
		}},
		{"another's", "a1-0 b1-1 c1-2 a2-0 a2-1 b2-2", true, false, verdict{
			received: 6, violations: []string{"message 1-2 came to a subscriber without a subscription"},
		}},
		{"nobody's", "a1-0 b1-1 a2-0 a2-1 b2-2 a9-9", true, false, verdict{
			received: 5, violations: []string{"message 9-9 is in no order"},
		}},
		{"after the witness had gone", "a1-0 b1-1 a2-0 a2-1 b2-2 a9-9", false, true, verdict{received: 6}},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			o, violations := newOrder(events(all), !test.cut)
			assert.Empty(t, violations)
			ours := func(e event) (string, bool) { return e.topic, e.topic != "c" }
			assert.Equal(t, test.want, o.check(events(test.got), ours, test.stayed))
		})
	}
}

func TestTheOrderItself(t *testing.T) {
	_, violations := newOrder(events("a1-0 a1-0"), true)
	assert.Len(t, violations, 1, "a message twice")

	o, _ := newOrder(events("a1-0 a2-0 a1-2 a1-1"), true)
	unaccounted, violations := o.missing([]string{"1-0", "2-0", "2-1"})
	assert.Equal(t, []string{"message 1-1 after number 2 of its publisher"}, violations)
	assert.Equal(t, 1, unaccounted, "2-1 was acknowledged and is nowhere")

	o, _ = newOrder(events("a1-0"), false)
	unaccounted, _ = o.missing([]string{"1-0", "1-1"})
	assert.Zero(t, unaccounted, "it may have come after the witness had gone")
}
