package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/bench"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
	"github.com/conchmq/conch/test/bench/servers"
)

// TestMain lets the test binary be the neighbor, as peers itself is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == neighborVerb {
		if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// inside is a conch in this process: its CPU time and memory are those of the test too.
func inside(t *testing.T, d bench.Dialect) *process {
	s := harness.Start(t, server.Options{})
	return &process{Process: &servers.Process{Address: s.Addr, PID: os.Getpid()}, dialect: d}
}

func TestMixAgainstConch(t *testing.T) {
	p := inside(t, bench.RESP3)
	got, err := newMix(p, mixMembers(50, 8, 5), 8).run(t.Context(), p, 200*time.Millisecond)
	require.NoError(t, err)
	for _, f := range []figure{deliveries, p50, p99, cpu, underLoad} {
		assert.Positive(t, got[f], f)
	}
}

func TestBesideNeighbor(t *testing.T) {
	p := inside(t, bench.RESP2)
	got, err := besideNeighbor(t.Context(), p, 200*time.Millisecond)
	require.NoError(t, err)
	for _, f := range []figure{p50, p999, neighborRate, underLoad} {
		assert.Positive(t, got[f], f)
	}
}

// All servers get the same mix: each topic has 1 to 50 subscribers, each of them once.
func TestMixMembers(t *testing.T) {
	members := mixMembers(mixTopics, mixConnections, mixSubscribers)
	assert.Equal(t, members, mixMembers(mixTopics, mixConnections, mixSubscribers))
	least, most := mixConnections, 0
	for _, some := range members {
		least, most = min(least, len(some)), max(most, len(some))
		seen := make(map[int]bool)
		for _, i := range some {
			seen[i] = true
		}
		require.Len(t, seen, len(some))
	}
	assert.Equal(t, []int{1, mixSubscribers}, []int{least, most})
}

func TestMixFormat(t *testing.T) {
	for d, want := range map[bench.Dialect][2]string{
		bench.RESP3: {
			"*3\r\n$7\r\nPUBLISH\r\n$8\r\nmix:0042\r\n$200\r\n0070000000123xxx",
			">3\r\n$7\r\nmessage\r\n$8\r\nmix:0042\r\n$200\r\n0070000000123xxx",
		},
		bench.NATS: {"PUB mix:0042 200\r\n0070000000123xxx", "MSG mix:0042 mix:0042 200\r\n0070000000123xxx"},
	} {
		f := newMixFormat(d)
		publish := string(f.appendPublish(nil, 42, 7, 123))
		assert.True(t, strings.HasPrefix(publish, want[0]), publish)
		message := []byte(want[1] + publish[len(want[0]):])
		require.Len(t, message, f.messageLen)
		topic, publisher, sequence, ok := f.parse(message)
		assert.True(t, ok)
		assert.Equal(t, []int{42, 7, 123}, []int{topic, publisher, sequence})
		for i := range message {
			message[i] ^= 0x40
			_, _, _, ok := f.parse(message)
			assert.False(t, ok, "byte %d of %q", i, message)
			message[i] ^= 0x40
		}
	}
}

// A delivery that is not due is an error: to the wrong topic, twice, of another message, or to no subscriber.
func TestMixChecksDeliveries(t *testing.T) {
	for sentence, c := range map[string]struct {
		topic, sequence int
		twice           bool
	}{
		"another topic":   {topic: 2, sequence: 5},
		"another message": {topic: 1, sequence: 4},
		"no subscriber":   {topic: 0, sequence: 5},
		"twice":           {topic: 1, sequence: 5, twice: true},
	} {
		t.Run(sentence, func(t *testing.T) {
			p := &process{dialect: bench.RESP3}
			m := newMix(p, [][]int{{1}, {0, 1}, {0, 1}}, 2)
			from, to := m.conns[1], m.conns[0]
			from.current.Store(place(1, 5))
			from.remaining.Store(9)
			to.subscribed = []bool{false, true, true}
			if c.twice {
				require.NoError(t, to.deliver(0, c.topic, 1, c.sequence))
			}
			assert.ErrorContains(t, to.deliver(0, c.topic, 1, c.sequence), "was not due")
		})
	}
}

func TestMixReadsOtherLines(t *testing.T) {
	resp, nats := newMixFormat(bench.RESP3), newMixFormat(bench.NATS)
	for _, c := range []struct {
		format *mixFormat
		line   string
		n      int
		kind   int
	}{
		{resp, ":12\r\n", 12, mixReply},
		{resp, "-ERR no\r\n", 0, mixError},
		{nats, "PING\r\n", 0, mixPing},
		{nats, "INFO {}\r\n", 0, mixSkip},
		{nats, "-ERR 'slow'\r\n", 0, mixError},
	} {
		n, kind := c.format.reply(c.line)
		assert.Equal(t, []int{c.n, c.kind}, []int{n, kind}, c.line)
	}
	in := bufio.NewReader(strings.NewReader("%1\r\n$1\r\na\r\n*2\r\n:1\r\n$1\r\nb\r\n-ERR no\r\n"))
	require.NoError(t, readValue(in))
	assert.ErrorContains(t, readValue(in), "ERR no")
	assert.ErrorIs(t, readValue(in), io.EOF)
}
