package main

import (
	"bufio"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// speaking is a publisher to which a server has sent a text.
func speaking(t *testing.T, f form, text string) *publisher {
	own, peer := net.Pipe()
	go func() {
		_, _ = io.WriteString(peer, text)
		_, _ = io.Copy(io.Discard, peer)
	}()
	t.Cleanup(func() { assert.NoError(t, peer.Close()) })
	return &publisher{form: f, topic: "d.0", sock: own, in: bufio.NewReader(own)}
}

func TestAcknowledgementsAreReadOneByOne(t *testing.T) {
	for _, one := range []struct {
		form form
		text string
	}{
		{publishForm, ":0\r\n:12\r\n"},
		{xaddForm, "$3\r\n1-1\r\n$3\r\n1-2\r\n"},
		{natsForm, "INFO {}\r\nMSG i 1 27\r\n{\"stream\":\"S\",\"seq\":1}\r\nPING\r\nMSG i 1 27\r\n{\"stream\":\"S\",\"seq\":2}\r\n"},
	} {
		p := speaking(t, one.form, one.text)
		require.NoError(t, p.acknowledged(), one.text)
		require.NoError(t, p.acknowledged(), one.text)
	}
}

func TestARefusalIsNoAcknowledgement(t *testing.T) {
	for _, one := range []struct {
		form form
		text string
	}{
		{publishForm, "-CLUSTERDOWN no leader\r\n"},
		{xaddForm, "-ERR wrong\r\n"},
		{natsForm, "MSG i 1 9\r\n{\"error\":{\"code\":503}}\r\n"},
		{natsForm, "-ERR 'Authorization Violation'\r\n"},
	} {
		assert.ErrorContains(t, speaking(t, one.form, one.text).acknowledged(), "refused", one.text)
	}
	assert.ErrorContains(t, speaking(t, publishForm, "+OK\r\n").acknowledged(), "no acknowledgement")
}

func TestARepliesTextsComeInARow(t *testing.T) {
	p := speaking(t, publishForm, "*4\r\n$4\r\nrole\r\n$6\r\nleader\r\n$4\r\nterm\r\n:7\r\n")
	texts, err := (&wire{p.sock, p.in}).reply(nil)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"role": "leader", "term": "7"}, pairs(texts))
}

func TestAFanFrameIsAsLongAsItIsCounted(t *testing.T) {
	assert.Len(t, "*3\r\n$7\r\nmessage\r\n$3\r\nfan\r\n$64\r\n"+payload(payloadBytes)+"\r\n", fanFrame)
}

func TestQuantilesAreOfAllValues(t *testing.T) {
	values := []float64{4, 1, 3, 2}
	assert.Equal(t, []float64{1, 3, 4}, []float64{quantile(values, 0), quantile(values, 0.5), quantile(values, 1)})
}

func TestNodesNameEachOther(t *testing.T) {
	g := &group{system: three, dir: t.TempDir()}
	arguments := g.conchArguments(1, []string{"c1", "c2", "c3"}, []string{"a1", "a2", "a3"})
	assert.Subset(t, arguments, []string{"c2", "--cluster-name", "n2", "a2", "n1=a1,n2=a2,n3=a3"})
	g.system = jetAlways
	arguments, err := g.natsArguments(0, []string{"c1", "c2", "c3"}, []string{"a1", "a2", "a3"})
	require.NoError(t, err)
	text, err := os.ReadFile(arguments[1])
	require.NoError(t, err)
	assert.Contains(t, string(text), "sync_interval: always")
	assert.Contains(t, string(text), "routes: [nats://a1, nats://a2, nats://a3]")
	g.system = one
	assert.NotContains(t, g.conchArguments(0, []string{"c1"}, nil), "--cluster-name")
}

func TestGoalsAreJudgedByMedians(t *testing.T) {
	c := &comparison{outcomes: []outcome{
		{Scenario: "durable", System: conchThree, Sample: sample{rate: 100}},
		{Scenario: "durable", System: conchThree, Sample: sample{rate: 300}},
		{Scenario: "durable", System: conchThree, Sample: sample{rate: 320}},
		{Scenario: "durable", System: natsThree, Sample: sample{rate: 100}},
		{Scenario: "durable", System: natsAlways, Sample: sample{rate: 100}},
		{Scenario: "durable", System: natsAlways, Error: "it died"},
	}}
	value, word := c.judge(&scenarios[0], scenarios[0].goals[0])
	assert.InDelta(t, 3, value, 1e-9)
	assert.Equal(t, "not met", word)
	_, word = c.judge(&scenarios[0], scenarios[0].goals[1])
	assert.Equal(t, "met", word)
	value, word = c.judge(&scenarios[2], scenarios[2].goals[0])
	assert.True(t, math.IsNaN(value))
	assert.Equal(t, "not measured", word)

	text := c.markdown()
	assert.Contains(t, text, "Goals: 1 of 10 met")
	assert.Contains(t, text, "| 300 (100 to 320) | 3.00× | ≥ 10.00× JetStream R3, always | **not met** |")
	assert.Contains(t, text, "Failed: durable, JetStream R3, always: it died")
}

func TestOutcomesOfOtherScenariosAreKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "all.json")
	first := &comparison{options: options{keep: file}, outcomes: []outcome{
		{Scenario: "durable", System: conchThree, Sample: sample{rate: 1}}, {Scenario: "paced", System: conchThree, Sample: sample{p50: 2}},
	}}
	require.NoError(t, first.save())
	second := &comparison{options: options{keep: file}, scenarios: scenarios[:1]}
	require.NoError(t, second.load())
	assert.Equal(t, first.outcomes[1:], second.outcomes)
}

func TestGoalsNameFiguresAndSystemsThatAreMeasured(t *testing.T) {
	for _, s := range scenarios {
		for _, g := range s.goals {
			assert.Contains(t, s.figures, g.figure, s.name)
			found := g.against == ""
			for _, one := range s.systems {
				found = found || one.name == g.against
			}
			assert.True(t, found, "%s: %s", s.name, g)
		}
	}
}

func TestTheCommandLineIsChecked(t *testing.T) {
	for args, want := range map[string]string{"x": "no flag", "--kills=0": "at least 1", "--rounds=-1": "not negative", "--duration=1ms": "at least 1s"} {
		_, err := parse([]string{args}, io.Discard)
		assert.ErrorContains(t, err, want, args)
	}
	o, err := parse([]string{"--rounds=0", "--behind=5"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, 5, o.behind)
}
