package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

// measured makes the outcomes of one figure: for each contestant its values, round by round; 0 is a failure.
func measured(f figure, values map[string][]float64) (all outcomes) {
	for name, rounds := range values {
		for i, v := range rounds {
			one := outcome{Contestant: name, Round: i + 1, Sample: sample{f: v}}
			if v == 0 {
				one.Sample, one.Error = nil, "it died"
			}
			all = append(all, one)
		}
	}
	return all
}

func TestJudge(t *testing.T) {
	type rounds = map[string][]float64
	none := math.NaN()
	tests := []struct {
		sentence string
		goal     goal
		figures  rounds
		want     float64
		peer     string
		word     string
	}{
		{
			"throughput is held against the fastest peer", atLeast(4),
			rounds{"conch": {8}, "redis": {1}, "nats": {2}}, 4, "nats", "met",
		},
		{"CPU against the cheapest", atMost(cpu, 0.3), rounds{"conch": {1}, "redis": {4}, "nats": {2}}, 0.5, "nats", "not met"},
		{"the relay is no peer", atLeast(4), rounds{"conch": {8}, "redis": {1}, "relay": {100}}, 8, "redis", "met"},
		{"but can be the measure", ofRelay(0.5), rounds{"conch": {8}, "redis": {1}, "relay": {100}}, 0.08, "", "not met"},
		{
			"the medians are divided, each over all rounds", atLeast(2),
			rounds{"conch": {4, 40, 2}, "redis": {2, 20, 1}}, 2, "redis", "met",
		},
		{
			"the best peer is the one with the best median", atLeast(2),
			rounds{"conch": {4, 4, 4}, "redis": {2, 1, 2}, "nats": {1, 4, 1}}, 2, "redis", "met",
		},
		{"a figure by itself", absolute(memory, 5), rounds{"conch": {4, 6, 5}, "redis": {1, 1, 1}}, 5, "", "met"},
		{
			"against conch's other dialect", goal{deliveries, respName, 0.8, true},
			rounds{"conch": {8}, "conch RESP": {10}}, 0.8, "", "met",
		},
		{
			"a round that failed is left out", atLeast(4),
			rounds{"conch": {8, 0, 9}, "redis": {1, 1, 1}}, 8.5, "redis", "met",
		},
		{
			"a round in which a peer failed is left out of its median", atLeast(1),
			rounds{"conch": {8, 8}, "redis": {0, 4}, "nats": {2, 2}}, 2, "redis", "met",
		},
		{"without conch there is no verdict", atMost(cpu, 1), rounds{"conch": {0}, "redis": {1}}, none, "", "not measured"},
		{"nor without a peer", atLeast(1), rounds{"conch": {1}, "relay": {1}}, none, "", "not measured"},
		{"nor without the relay", ofRelay(1), rounds{"conch": {1}, "redis": {1}}, none, "", "not measured"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			got := measured(test.goal.figure, test.figures).judge(test.goal)
			if math.IsNaN(test.want) {
				assert.True(t, math.IsNaN(got.Value))
			} else {
				assert.InDelta(t, test.want, got.Value, 1e-9)
			}
			assert.Equal(t, test.word, got.word())
			assert.Equal(t, test.peer, got.Peer)
		})
	}
}

func TestGoalsInWords(t *testing.T) {
	tests := []struct {
		goal goal
		want string
	}{
		{atLeast(4), "≥ 4.00× the best peer"},
		{atMost(cpu, 0.3), "≤ 0.30× the best peer"},
		{ofRelay(0.5), "≥ 50 % of the relay"},
		{absolute(memory, 5), "≤ 5.00 KiB"},
		{absolute(growth, 2), "≤ 2.00×"},
		{goal{deliveries, respName, 0.8, true}, "≥ 0.80× conch RESP"},
	}
	for _, test := range tests {
		assert.Equal(t, test.want, test.goal.String())
	}
}
