package redis

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/conchtest"
	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/drivertest"
	"github.com/conchmq/conch/internal/entry"
	"github.com/conchmq/conch/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func address(t *testing.T, text string) connect.Address { return drivertest.Address(t, System, text) }

func openSource(t *testing.T, text string, start connect.Start) connect.Source {
	return drivertest.OpenSource(t, System, text, start)
}

func openSink(t *testing.T, text string) connect.Sink { return drivertest.OpenSink(t, System, text) }

func TestWhatAnAddressNeeds(t *testing.T) {
	for text, wrong := range map[string]string{
		"redis://h":                            "the address needs one of these: ?channel=, ?pattern=, ?stream=",
		"redis://h?channel=a&stream=b":         "channel and stream exclude each other",
		"redis://h?stream=a&from=yesterday":    "from is start or now",
		"redis://u:secret@h/3?stream=s":        "database 0 alone",
		"redis://u:secret@h/x?channel=s":       "only options may follow the host",
		"rediss://u:secret@h:80?channel=c":     "",
		"redis://h/3?channel=a":                "",
		"redis://h?stream=s&group=g&from=now":  "",
		"redis://h?stream=s&group=g&unknown=1": "", // the engine refuses what is left
	} {
		_, err := newSource(address(t, text))
		if wrong == "" {
			assert.NoError(t, err, text)
			continue
		}
		require.ErrorContains(t, err, wrong, text)
		assert.NotContains(t, err.Error(), "secret")
	}
	for text, wrong := range map[string]string{
		"redis://h?pattern=a*":            "the address needs one of these: ?channel=, ?stream=",
		"redis://h?stream=a&maxlen=0":     "maxlen is a number from 1",
		"redis://h?channel=a.{header.":    "a brace without its partner",
		"redis://h?stream={topic}":        "",
		"redis://h?channel=eu.{field.id}": "",
	} {
		_, err := newSink(address(t, text))
		if wrong == "" {
			assert.NoError(t, err, text)
		} else {
			assert.ErrorContains(t, err, wrong, text)
		}
	}
}

func TestChannelsBothWays(t *testing.T) {
	const n = 10_000
	s := conchtest.Start(t)
	base := "redis://" + s.Addr
	whole, globbed := openSource(t, base+"?channel=eu.t", connect.Start{}), openSource(t, base+"?pattern=eu.*", connect.Start{})
	sink := openSink(t, base+"?channel=eu.{topic}")
	for i := 0; i < n; i += 250 {
		require.NoError(t, sink.Write(t.Context(), drivertest.Numbers(i, i+250)))
		for j, m := range drivertest.Read(t, whole, 250) {
			require.Equal(t, fmt.Sprint(i+j), string(m.Payload))
			require.Equal(t, "eu.t", m.Meta["channel"])
		}
	}
	for i, m := range drivertest.Read(t, globbed, n) {
		require.Equal(t, fmt.Sprint(i), string(m.Payload))
	}
}

func TestStreamsBothWays(t *testing.T) {
	const n = 10_000
	base := "redis://" + conchtest.Start(t).Addr
	sink := openSink(t, base+"?stream=eu.{topic}")
	for i := 0; i < n; i += 250 {
		require.NoError(t, sink.Write(t.Context(), drivertest.Numbers(i, i+250)))
	}
	source := openSource(t, base+"?stream=eu.t&from=start", connect.Start{})
	all := drivertest.Read(t, source, n)
	for i, m := range all {
		require.Equal(t, fmt.Sprint(i), string(m.Payload))
		require.Equal(t, []connect.Header{{Name: "n", Value: fmt.Sprint(i)}}, m.Headers)
		require.Equal(t, "eu.t", m.Partition)
		require.Equal(t, m.Position, m.ID)
	}

	// conch has the position: the next connection begins behind it, whatever the group has.
	start := connect.Start{Durable: true, Positions: map[string]string{"eu.t": all[n-3].Position}}
	behind := openSource(t, base+"?stream=eu.t&group=g", start)
	assert.Equal(t, all[n-2:], drivertest.Read(t, behind, 2))
}

func TestAGroupReadsAgainWhatWasNotAcknowledged(t *testing.T) {
	base := "redis://" + conchtest.Start(t).Addr
	sink := openSink(t, base+"?stream=s")
	require.NoError(t, sink.Write(t.Context(), drivertest.Numbers(0, 100)))
	first := openSource(t, base+"?stream=s&group=g", connect.Start{})
	drivertest.Read(t, first, 100)
	require.NoError(t, sink.Write(t.Context(), drivertest.Numbers(100, 150)))
	for n := 0; n < 50; {
		b, err := first.Read(t.Context()) // and no Ack
		require.NoError(t, err)
		n += len(b.Messages)
	}
	require.NoError(t, first.Close(t.Context()))

	require.NoError(t, first.Connect(t.Context(), connect.Start{}))
	again := drivertest.Read(t, first, 50)
	assert.Equal(t, "100", string(again[0].Payload))
	require.NoError(t, first.Close(t.Context()))
	require.NoError(t, first.Connect(t.Context(), connect.Start{}))
	require.NoError(t, sink.Write(t.Context(), drivertest.Numbers(150, 151)))
	assert.Equal(t, "150", string(drivertest.Read(t, first, 1)[0].Payload))
}

func TestEntriesOfOthersAreObjects(t *testing.T) {
	s := conchtest.Start(t)
	source := openSource(t, "redis://"+s.Addr+"?stream=s&from=start", connect.Start{})
	c, err := client.DialURL(t.Context(), s.URL())
	require.NoError(t, err)
	_, err = c.Append(t.Context(), "s", []client.Field{{Name: "price", Value: "12"}, {Name: "a", Value: "b"}})
	require.NoError(t, err)
	m := drivertest.Read(t, source, 1)[0]
	assert.JSONEq(t, `{"price":12,"a":"b"}`, string(m.Payload))
	assert.Empty(t, m.Headers)
	require.NoError(t, c.Close())
}

// Of what conch never takes, there is enough to see that.
func TestALargeEntryTakesLittleMemory(t *testing.T) {
	large := string(make([]byte, 5000))
	tests := []struct {
		sentence string
		fields   []client.Field
		size     int
		headers  int
	}{
		{"as large as may be", []client.Field{{Name: "message", Value: large[:1000]}}, 1000, 0},
		{"a message alone", []client.Field{{Name: "message", Value: large}}, 1001, 0},
		{"a message among headers", []client.Field{{Name: "a", Value: "1"}, {Name: "message", Value: large}, {Name: "message", Value: "2"}}, 1001, 2},
		{"an object", []client.Field{{Name: "a", Value: large}, {Name: "b", Value: "1"}}, 1001, 0},
		{"an object of many", slices.Repeat([]client.Field{{Name: "a", Value: "12345"}}, 200), 1001, 0},
	}
	var m entry.Message
	for _, test := range tests {
		got := messageOf(&client.Entry{Fields: test.fields}, &m, nil, 1000)
		assert.Len(t, got.Payload, test.size, test.sentence)
		assert.Less(t, cap(got.Payload), 2000, test.sentence)
		assert.Len(t, got.Headers, test.headers, test.sentence)
	}
}

func TestALostServerEndsAConnection(t *testing.T) {
	for _, query := range []string{"?channel=c", "?pattern=c", "?stream=c", "?stream=c&group=g"} {
		s := conchtest.Start(t)
		source, sink := openSource(t, "redis://"+s.Addr+query, connect.Start{}), openSink(t, "redis://"+s.Addr+"?stream=c")
		s.Stop()
		ctx, end := context.WithTimeout(t.Context(), time.Minute)
		_, err := source.Read(ctx)
		require.Error(t, err, query)
		require.NoError(t, ctx.Err(), query)
		require.Error(t, sink.Write(ctx, drivertest.Numbers(0, 1)))
		end()
		_, err = source.Read(t.Context())
		require.Error(t, err, "it stays ended")
	}
}

func TestWrongCredentialsArePermanent(t *testing.T) {
	s := conchtest.Start(t, func(o *server.Options) { o.RequirePassword = "right" })
	text := "redis://:wrong@" + s.Addr
	permanent := (*connect.Permanent)(nil)
	source, err := newSource(address(t, text+"?channel=c"))
	require.NoError(t, err)
	require.ErrorAs(t, source.Connect(t.Context(), connect.Start{}), &permanent)
	require.NoError(t, source.Close(t.Context()))
	for _, query := range []string{"?channel=c", "?stream=s"} {
		sink, err := newSink(address(t, text+query))
		require.NoError(t, err)
		require.ErrorAs(t, sink.Connect(t.Context()), &permanent)
		assert.NotContains(t, permanent.Error(), "wrong@")
		require.NoError(t, sink.Close(t.Context()))
	}
}

func TestAMessageThatIsRefused(t *testing.T) {
	s := conchtest.Start(t)
	batch := drivertest.Numbers(0, 5)
	batch[1].Payload = []byte(`{"id":"a"}`)
	batch[3].Payload = []byte(`{"id":"b"}`)
	refused := (*connect.Refused)(nil)
	require.ErrorAs(t, openSink(t, "redis://"+s.Addr+"?channel=c.{field.id}").Write(t.Context(), batch), &refused)
	assert.Equal(t, []int{0, 2, 4}, refused.Indices)
	missing := (*connect.MissingPart)(nil)
	require.ErrorAs(t, refused, &missing)
}
