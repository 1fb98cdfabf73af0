package connect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/command"
)

// texts are messages with these payloads, and a key for the template.
func texts(payloads ...string) (messages []Message) {
	for i, p := range payloads {
		messages = append(messages, Message{Topic: "news.a", Payload: []byte(p), ID: fmt.Sprint(i), Meta: map[string]string{"key": "k"}})
	}
	return messages
}

func waitingSource(t *testing.T, messages []Message) *fakeSource {
	return &fakeSource{t: t, messages: messages, waits: true, effective: func(*Message) bool { return true }}
}

func newFakeBroker(t *testing.T) *fakeBroker {
	return &fakeBroker{t: t, positions: make(map[string]map[string]string), outlets: make(map[string]*fakeOutlet)}
}

func (b *fakeBroker) addOutlet(t *testing.T, name string, durable bool, messages []Message) *fakeOutlet {
	o := newFakeOutlet(t, messages, durable)
	o.done = func(*Message) bool { return true }
	b.outlets[name] = o
	return o
}

func TestAMessageWithoutATopicIsADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, messages := newFakeBroker(t), texts("a", "b", "c")
		messages[1].Meta = nil
		set := newTestSet(broker, one(waitingSource(t, messages), nil))
		require.NoError(t, set.Apply([]Config{sourceConfig(func(c *Config) { c.Dead = "dead" })}))
		synctest.Wait()
		assert.Equal(t, []string{"a", "c"}, broker.to("orders.k"))
		assert.Equal(t, []string{"b"}, broker.to("dead"))
		reason, _ := broker.published[1].Header("conch-dead-reason")
		assert.Contains(t, reason, "{key}")
		row := set.List()[0]
		assert.Equal(t, []uint64{3, 2, 1, 0}, []uint64{row.Taken, row.Published, row.Dead, row.Pending})
		assert.Equal(t, stateRunning, row.State)
		stopAll(t, set)
	})
}

func TestWithoutATopicForDeadLettersTheDriverLearnsWhatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, messages := newFakeBroker(t), texts("a", "b", string(make([]byte, 1001)))
		messages[1].Meta = nil
		source := waitingSource(t, messages)
		set := newTestSet(broker, one(source, nil))
		require.NoError(t, set.Apply([]Config{sourceConfig(nil)}))
		synctest.Wait()
		assert.Equal(t, []int{1, 2}, source.refused)
		assert.Equal(t, uint64(2), set.List()[0].Dead)
		assert.Equal(t, 3, source.acked)
		stopAll(t, set)
	})
}

func TestWhatConchRefusesIsADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newFakeBroker(t)
		set := newTestSet(broker, one(waitingSource(t, texts("a")), nil))
		require.NoError(t, set.Apply([]Config{sourceConfig(func(c *Config) { c.Topic, c.Dead = "refused", "dead" })}))
		synctest.Wait()
		assert.Equal(t, []string{"a"}, broker.to("dead"))
		row := set.List()[0]
		assert.Equal(t, []uint64{1, 0, 1, 0}, []uint64{row.Taken, row.Published, row.Dead, row.Pending})
		stopAll(t, set)
	})
}

func TestASourceHoldsItsOwnMessagesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, messages := newFakeBroker(t), texts("a", "b")
		messages[0].Headers = []Header{{"Conch-Via", "x, b1"}}
		messages[1].Headers = []Header{{"conch-via", "b11"}}
		set := newTestSet(broker, one(waitingSource(t, messages), nil))
		require.NoError(t, set.Apply([]Config{sourceConfig(nil)}))
		synctest.Wait()
		assert.Equal(t, []string{"b"}, broker.to("orders.k"))
		row := set.List()[0]
		assert.Equal(t, []uint64{1, 1, 1}, []uint64{row.HeldBack, row.Looped, row.Published})
		stopAll(t, set)
	})
}

// A connector that is added where nodes share which of them are paused rests until it is known whether it is.
func TestAConnectorOfAClusterRestsAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := newTestSet(newFakeBroker(t), one(waitingSource(t, texts("a")), nil))
		set.SetStandby(false)
		require.NoError(t, set.Apply([]Config{sourceConfig(nil)}))
		synctest.Wait()
		assert.Equal(t, stateStandby, set.List()[0].State)
		set.SetStandby(false)
		synctest.Wait()
		assert.Equal(t, stateRunning, set.List()[0].State)
		stopAll(t, set)
	})
}

func TestAPausedSourceIsConnectedAgainAtResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := waitingSource(t, texts("a"))
		set := newTestSet(newFakeBroker(t), one(source, nil))
		require.NoError(t, set.Apply([]Config{sourceConfig(nil)}))
		synctest.Wait()
		require.NoError(t, set.Pause(t.Context(), command.Source, "in"))
		synctest.Wait()
		assert.Equal(t, statePaused, set.List()[0].State)
		assert.False(t, source.open)
		require.NoError(t, set.Apply([]Config{sourceConfig(nil)}), "a reload changes nothing")
		synctest.Wait()
		assert.Equal(t, statePaused, set.List()[0].State)
		require.NoError(t, set.Resume(t.Context(), command.Source, "in"))
		synctest.Wait()
		assert.Equal(t, stateRunning, set.List()[0].State)
		assert.True(t, source.open)
		assert.Equal(t, uint64(1), set.List()[0].Restarts)
		require.ErrorIs(t, set.Pause(t.Context(), command.Sink, "in"), ErrNoConnector)
		stopAll(t, set)
	})
}

// What is written of a delivery when its sink is paused was matched. The rest comes again from durable topics, and is lost from others.
func TestAPausedSinkHoldsNothing(t *testing.T) {
	for durable, want := range map[bool][]uint64{false: {2, 1, 1, 0}, true: {1, 1, 0, 0}} {
		synctest.Test(t, func(t *testing.T) {
			broker := newFakeBroker(t)
			outlet := broker.addOutlet(t, "out", durable, texts("!a", "b"))
			sink := &fakeSink{writes: make(map[string]int)}
			set := newTestSet(broker, one(nil, sink))
			require.NoError(t, set.Apply([]Config{sinkConfig(func(c *Config) { c.Tries = 1000 })}))
			synctest.Wait()
			require.NoError(t, set.Pause(t.Context(), command.Sink, "out"))
			synctest.Wait()
			assert.False(t, outlet.open)
			row := set.List()[0]
			assert.Equal(t, want, []uint64{row.Matched, row.Sent, row.Lost, row.Pending}, "durable: %v", durable)
			stopAll(t, set)
		})
	}
}

func TestAReloadLeavesWhatHasNotChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newFakeBroker(t)
		broker.addOutlet(t, "out", true, nil)
		sink := &fakeSink{writes: make(map[string]int)}
		source := waitingSource(t, nil)
		set := newTestSet(broker, one(source, sink))
		require.NoError(t, set.Apply([]Config{sinkConfig(nil), sourceConfig(nil)}))
		synctest.Wait()
		rows := set.List()
		require.Len(t, rows, 2)
		assert.Equal(t, command.Source, rows[0].Direction, "sources are first")
		require.NoError(t, set.Apply([]Config{sourceConfig(func(c *Config) { c.Batch = 7 }), sinkConfig(nil)}))
		synctest.Wait()
		assert.Len(t, source.starts, 2)
		require.NoError(t, set.Apply([]Config{sourceConfig(func(c *Config) { c.Batch = 7 })}))
		synctest.Wait()
		assert.Len(t, source.starts, 2)
		assert.Len(t, set.List(), 1)
		assert.False(t, broker.outlets["out"].open)
		require.Error(t, set.Apply([]Config{sourceConfig(nil), sourceConfig(nil)}), "two of one name")
		assert.Len(t, set.List(), 1)
		stopAll(t, set)
	})
}

// Until the process serves its clients, connectors are seen and do nothing. One that ends before that ends.
func TestConnectorsWaitForTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := waitingSource(t, texts("a"))
		set := NewSet(newFakeBroker(t), &Compiler{Systems: one(source, nil), Limit: 1000}, zerolog.Nop())
		require.NoError(t, set.Apply([]Config{sourceConfig(nil), sourceConfig(func(c *Config) { c.Name = "other" })}))
		require.NoError(t, set.Apply([]Config{sourceConfig(nil)}))
		synctest.Wait()
		require.Len(t, set.List(), 1)
		assert.Equal(t, stateConnecting, set.List()[0].State)
		assert.Empty(t, source.starts)
		set.Start()
		synctest.Wait()
		assert.Equal(t, stateRunning, set.List()[0].State)
		assert.Len(t, source.starts, 1)
		stopAll(t, set)
	})
}

func TestConnectorsAtRunTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, source := newFakeBroker(t), waitingSource(t, nil)
		systems := append(one(source, nil), System{Name: "program", Schemes: []string{"exec"}, FileOnly: true, Source: func(Address) (Source, error) { return source, nil }})
		set := newTestSet(broker, systems)
		add := func(name, url string, options ...[2]string) error {
			return set.Add(t.Context(), command.NewConnector{Direction: command.Source, Name: name, URL: url, Options: options})
		}
		topic := [2]string{"topic", "orders"}
		require.ErrorContains(t, add("a", "exec:ls", topic), "config file")
		require.ErrorContains(t, add("a", "fake://u:${PASS}@h?queue=q", topic), "config file")
		require.ErrorContains(t, add("a", "fake://h?queue=q"), "topic")
		require.ErrorContains(t, add("a", "fake://h?queue=q", topic, [2]string{"tpoic", "x"}), "known are")
		require.ErrorContains(t, add("a", "fake://h?quue=q", topic), "quue")
		require.NoError(t, add("a", "fake://h?queue=q", topic))
		require.ErrorContains(t, add("a", "fake://h?queue=q", topic), "already")
		synctest.Wait()
		assert.Equal(t, stateRunning, set.List()[0].State)
		require.NoError(t, set.Remove(t.Context(), command.Source, "a"))
		assert.Equal(t, []string{"a"}, broker.dropped)
		assert.Empty(t, set.List())
		require.ErrorIs(t, set.Remove(t.Context(), command.Source, "a"), ErrNoConnector)
		broker.positions = map[string]map[string]string{"gone": {"0": "1"}}
		require.NoError(t, set.Remove(t.Context(), command.Source, "gone"), "it was in the file once")
		require.ErrorIs(t, set.Remove(t.Context(), command.Source, "gone"), ErrNoConnector)
		require.ErrorIs(t, set.Remove(t.Context(), command.Sink, "a"), ErrNoConnector)
		require.NoError(t, set.Apply([]Config{sourceConfig(func(c *Config) { c.Name = "a" })}))
		require.ErrorContains(t, set.Remove(t.Context(), command.Source, "a"), "SIGHUP")
		stopAll(t, set)
	})
}

// failing is a source that never connects.
type failing struct {
	fakeSource
	err    error
	panics bool
}

func (f *failing) Connect(context.Context, Start) error {
	f.acked++
	if f.panics {
		panic(f.err)
	}
	return f.err
}

func TestNoPasswordIsSeen(t *testing.T) {
	for _, panics := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			driver := &failing{fakeSource: fakeSource{t: t}, err: errors.New("dial fake://u:p%40ss@host: p@ss is wrong"), panics: panics}
			var log bytes.Buffer
			set := NewSet(newFakeBroker(t), &Compiler{Systems: one(driver, nil), Limit: 10}, zerolog.New(&log))
			set.Start()
			require.NoError(t, set.Apply([]Config{sourceConfig(func(c *Config) { c.URL = "fake://u:p%40ss@host?queue=q" })}))
			synctest.Wait()
			row := set.List()[0]
			assert.Equal(t, stateWaiting, row.State)
			assert.Contains(t, row.LastError, "is wrong")
			assert.Equal(t, "fake://u@host?queue=q", row.URL)
			stopAll(t, set)
			assert.Contains(t, log.String(), "is wrong")
			for _, text := range []string{log.String(), row.LastError, row.URL} {
				assert.NotContains(t, text, "p@ss")
				assert.NotContains(t, text, "p%40ss")
			}
		})
	}
}

func TestTriesComeWithBackOffAndPermanentErrorsAtTheLongestInterval(t *testing.T) {
	tries := func(t *testing.T, err error) (tries int, state string) {
		synctest.Test(t, func(t *testing.T) {
			driver := &failing{fakeSource: fakeSource{t: t}, err: err}
			set := newTestSet(newFakeBroker(t), one(driver, nil))
			require.NoError(t, set.Apply([]Config{sourceConfig(nil)}))
			pause(t.Context(), 10*time.Minute) // of the bubble
			synctest.Wait()
			tries, state = driver.acked, set.List()[0].State
			stopAll(t, set)
		})
		return tries, state
	}
	n, state := tries(t, errors.New("refused"))
	assert.Equal(t, stateWaiting, state)
	assert.True(t, n > 25 && n < 60, "%d tries", n)
	n, state = tries(t, &Permanent{errors.New("wrong credentials")})
	assert.Equal(t, stateFailed, state)
	assert.True(t, n > 19 && n < 42, "%d tries", n)
}

// stuck is a sink whose Write waits for the context.
type stuck struct{ fakeSink }

func (*stuck) Write(ctx context.Context, _ []Message) error { <-ctx.Done(); return ctx.Err() }

func TestSinksHaveAGracePeriodAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newFakeBroker(t)
		broker.addOutlet(t, "out", false, texts("a"))
		set := newTestSet(broker, one(nil, &stuck{}))
		require.NoError(t, set.Apply([]Config{sinkConfig(nil)}))
		synctest.Wait()
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		require.NoError(t, set.StopSources(ctx))
		require.NoError(t, set.StopSinks(ctx))
		assert.GreaterOrEqual(t, time.Since(begin), 3*time.Second)
		assert.Equal(t, uint64(1), set.List()[0].Lost, "it is counted")
		set.start(set.running[0].plan)
		assert.Len(t, set.List(), 1, "nothing starts any more")
	})
}

// slowToClose is a sink that takes a second to close its connection.
type slowToClose struct{ *fakeSink }

func (s slowToClose) Close(ctx context.Context) error {
	pause(ctx, time.Second)
	return s.fakeSink.Close(ctx)
}

// A sink that has nothing to send has all the time that there is to end its connection.
func TestSinksThatEndSlowlyAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newFakeBroker(t)
		broker.outlets["out"] = newFakeOutlet(t, nil, false)
		sink := &fakeSink{}
		set := newTestSet(broker, one(nil, slowToClose{sink}))
		require.NoError(t, set.Apply([]Config{sinkConfig(nil)}))
		synctest.Wait()
		stopAll(t, set)
		assert.False(t, sink.open)
	})
}
