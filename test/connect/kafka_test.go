//go:build connect

package connect

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/kafka"
)

// fakeKafka names the directory of a broker: this program is one if it is set. Kafka itself needs a JVM; kfake, from the makers of the
// client library, speaks its protocol, and keeps topics and groups in files.
const fakeKafka = "CONCH_TEST_KAFKA"

// seeds are the topics that the broker has from its start: one for each lane, and one with several partitions.
const seeds, wide = 30, "wide"

func seedName(i int) string { return "t" + strconv.Itoa(i) }

// runKafka is the broker, until SIGTERM.
func runKafka(dir string) int {
	port, err := strconv.Atoi(os.Getenv(fakeKafka + "_PORT"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var names []string
	for i := range seeds {
		names = append(names, seedName(i))
	}
	options := []kfake.Opt{
		kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir), kfake.SyncWrites(), kfake.EnableSASL(), kfake.Superuser("PLAIN", "ann", "pencil"),
		kfake.SeedTopics(1, names...), kfake.SeedTopics(4, wide), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "200000"}),
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
	cluster.Close()
	return 0
}

var kafkaServer = &server{process: process{name: "kfake"}}

func startKafka(t *testing.T) {
	t.Helper()
	if kafkaServer.cmd != nil {
		return
	}
	var port string
	kafkaServer.address, port = freeAddress(t)
	kafkaServer.command = func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fakeKafka+"="+filepath.Join(root, "kafka"), fakeKafka+"_PORT="+port)
		return cmd
	}
	kafkaServer.use(t)
}

func dialKafka(t *testing.T, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	login := plain.Auth{User: "ann", Pass: "pencil"}.AsMechanism()
	c, err := kgo.NewClient(append(options, kgo.SeedBrokers(kafkaServer.address), kgo.SASL(login))...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func putKafka(t *testing.T, topic string, payloads ...string) {
	t.Helper()
	var records []*kgo.Record
	for _, p := range payloads {
		records = append(records, &kgo.Record{Topic: topic, Value: []byte(p)})
	}
	c := dialKafka(t)
	require.NoError(t, c.ProduceSync(t.Context(), records...).FirstErr())
}

// takeKafka reads a topic from its start.
func takeKafka(t *testing.T, topic string, n int) (all []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := dialKafka(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for seen := make(map[string]int); len(seen) < n; {
		fetches := c.PollFetches(ctx)
		require.NoError(t, ctx.Err(), "%d of %d messages of %s", len(seen), n, topic)
		for _, r := range fetches.Records() {
			all = append(all, string(r.Value))
			seen[string(r.Value)]++
		}
	}
	return all
}

// forgetMembers removes all members of a group, as Kafka does at the end of their sessions: kfake keeps one for ever that was killed
// between its JoinGroup and the answer.
func forgetMembers(t *testing.T, group string) {
	t.Helper()
	c := dialKafka(t)
	describe, leave := kmsg.NewPtrDescribeGroupsRequest(), kmsg.NewPtrLeaveGroupRequest()
	describe.Groups, leave.Group = []string{group}, group
	described, err := describe.RequestWith(t.Context(), c)
	require.NoError(t, err)
	for _, m := range described.Groups[0].Members {
		leave.Members = append(leave.Members, kmsg.LeaveGroupRequestMember{MemberID: m.MemberID})
	}
	_, err = leave.RequestWith(t.Context(), c)
	require.NoError(t, err)
}

func kafkaURL(query string) string { return "kafka://ann:pencil@" + kafkaServer.address + query }

var seedsUsed int

func kafkaTopic(t *testing.T) string {
	t.Helper()
	require.Less(t, seedsUsed, seeds, "raise seeds")
	seedsUsed++
	return seedName(seedsUsed - 1)
}

func TestKafka(t *testing.T) {
	startKafka(t)
	play(t, kafkaSystem())
}

func kafkaSystem() *system {
	return &system{
		name: "kafka", server: kafkaServer, keeps: true, crashes: true, once: true,
		denied: "kafka://ann:" + secret + "@" + kafkaServer.address + "?topic=t0",
		open: func(t *testing.T) lane {
			topic := kafkaTopic(t)
			return lane{
				source: kafkaURL("?topic=" + topic + "&group=" + topic),
				sink:   kafkaURL("?topic=" + topic),
				lacks:  kafkaURL("?topic=t0&key={field.missing}"),
				put:    func(t *testing.T, payloads ...string) { t.Helper(); putKafka(t, topic, payloads...) },
				take:   func(t *testing.T, n int) []string { t.Helper(); return takeKafka(t, topic, n) },
				forget: func(t *testing.T) { t.Helper(); forgetMembers(t, topic) },
			}
		},
	}
}

// The driver alone: what only Kafka has.
func TestKafkaDriver(t *testing.T) {
	startKafka(t)
	t.Run("positions that conch has kept win, and others are those of the group", func(t *testing.T) {
		topic := kafkaTopic(t)
		putKafka(t, topic, "0", "1", "2", "3")
		url := kafkaURL("?group=g&topic=" + topic)
		source := openSource(t, kafka.System, url, connect.Start{})
		messages, ack := readAll(t, source, 4)
		assert.Equal(t, []string{topic + "/0", "3"}, []string{messages[3].Partition, messages[3].Position})
		ack(nil)
		require.NoError(t, source.Close(t.Context()))

		putKafka(t, topic, "4")
		source = openSource(t, kafka.System, url, connect.Start{})
		messages, _ = readAll(t, source, 1)
		assert.Equal(t, "4", string(messages[0].Payload), "the group has committed 3; 4 is not acknowledged now")
		require.NoError(t, source.Close(t.Context()))

		source = openSource(t, kafka.System, url, connect.Start{Durable: true, Positions: map[string]string{topic + "/0": "1"}})
		messages, _ = readAll(t, source, 3)
		assert.Equal(t, "2", string(messages[0].Payload))
		require.NoError(t, source.Close(t.Context()))
	})
	t.Run("a second member takes partitions over, and no record is missed", func(t *testing.T) {
		url := kafkaURL("?group=w&topic=" + wide)
		one, stop := openSource(t, kafka.System, url, connect.Start{}), make(chan struct{})
		got := make(chan string, 3*many)
		read := func(s connect.Source, done chan struct{}) {
			defer close(done)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go func() {
				select {
				case <-stop:
					cancel()
				case <-ctx.Done():
				}
			}()
			for {
				batch, err := s.Read(ctx)
				if err != nil {
					return
				}
				for _, m := range batch.Messages {
					got <- string(m.Payload)
				}
				_ = batch.Ack(ctx, nil) // it never fails
			}
		}
		doneOne, doneTwo := make(chan struct{}), make(chan struct{})
		go read(one, doneOne)
		putKafka(t, wide, numbered("a", 1000)...)
		seen := make(map[string]int)
		for len(seen) < 1000 {
			seen[next(t, got, "the first thousand")]++
		}
		go read(openSource(t, kafka.System, url, connect.Start{}), doneTwo)
		putKafka(t, wide, numbered("b", 1000)...)
		for len(seen) < 2000 {
			seen[next(t, got, "the second thousand")]++
		}
		close(stop)
		<-doneOne
		<-doneTwo
	})
	t.Run("headers and keys, both ways", func(t *testing.T) {
		topic := kafkaTopic(t)
		sink := openSink(t, kafka.System, kafkaURL("?key={field.user}&topic="+topic))
		headers := []connect.Header{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}}
		require.NoError(t, sink.Write(t.Context(), []connect.Message{{Payload: []byte(`{"user":17}`), Headers: headers}}))
		messages, ack := readAll(t, openSource(t, kafka.System, kafkaURL("?group=h&topic="+topic), connect.Start{}), 1)
		ack(nil)
		assert.Equal(t, append([]connect.Header{{Name: "kafka-key", Value: "17"}}, headers...), messages[0].Headers)
		assert.Equal(t, map[string]string{"topic": topic, "partition": "0", "key": "17"}, messages[0].Meta)
	})
	t.Run("messages that Kafka never takes are refused, and the others arrive", func(t *testing.T) {
		topic := kafkaTopic(t)
		sink := openSink(t, kafka.System, kafkaURL("?topic={topic}"))
		batch := []connect.Message{{Topic: "no topic"}, {Topic: topic, Payload: []byte("one")}, {Topic: topic, Payload: make([]byte, 2_000_000)}, {Topic: topic, Payload: []byte("two")}}
		var refused *connect.Refused
		require.ErrorAs(t, sink.Write(t.Context(), batch), &refused)
		assert.Equal(t, []int{0, 2}, refused.Indices, "%v", refused.Err)
		assert.Equal(t, []string{"one", "two"}, takeKafka(t, topic, 2))
	})
	t.Run("what trying again does not change", func(t *testing.T) {
		assert.True(t, isPermanent(makeSource(t, kafka.System, kafkaURL("?topic=absent")).Connect(t.Context(), connect.Start{})))
		assert.True(t, isPermanent(makeSink(t, kafka.System, kafkaURL("?topic=absent")).Connect(t.Context())))
		denied := "kafka://ann:" + secret + "@" + kafkaServer.address + "?topic=t0" // kfake closes the connection, without the reason that Kafka gives
		assert.Error(t, makeSource(t, kafka.System, denied).Connect(t.Context(), connect.Start{}))
		assert.Error(t, makeSink(t, kafka.System, denied).Connect(t.Context()))
		err := makeSource(t, kafka.System, "kafka://127.0.0.1:1?topic=t0").Connect(t.Context(), connect.Start{})
		var netError net.Error
		assert.ErrorAs(t, err, &netError)
		assert.False(t, isPermanent(err), "a server that is not there may come")
	})
}
