package nats

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/drivertest"
	"github.com/conchmq/conch/internal/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func address(t *testing.T, text string) connect.Address { return drivertest.Address(t, System, text) }

func openSource(t *testing.T, text string, start connect.Start) connect.Source {
	return drivertest.OpenSource(t, System, text, start)
}

func openSink(t *testing.T, text string) connect.Sink { return drivertest.OpenSink(t, System, text) }

// server is a nats-server of one test, with JetStream and a user.
type server struct {
	t             *testing.T
	program, host string
	dir           string
	command       *exec.Cmd
}

func startServer(t *testing.T) *server {
	program, err := exec.LookPath("nats-server")
	if err != nil {
		t.Skip("nats-server is not on the PATH: nothing was tested against NATS")
	}
	s := &server{t: t, program: program, host: harness.FreeAddress(t), dir: t.TempDir()}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *server) start() {
	_, port, _ := net.SplitHostPort(s.host)
	s.command = exec.Command(s.program, "-a", "127.0.0.1", "-p", port, "-js", "-sd", s.dir, "--user", "u", "--pass", "right")
	out, err := s.command.StderrPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, s.command.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Server is ready") {
			return
		}
	}
	require.FailNow(s.t, "nats-server ended before it was ready")
}

func (s *server) kill() {
	_ = s.command.Process.Kill() // an error: it has ended
	_ = s.command.Wait()         // the error of the kill
}

func (s *server) url(query string) string { return "nats://u:right@" + s.host + query }

// makeStream makes the stream S, which keeps subjects.
func (s *server) makeStream(subjects ...string) {
	c, err := nats.Connect(s.url(""))
	require.NoError(s.t, err)
	defer c.Close()
	js, err := jetstream.New(c)
	require.NoError(s.t, err)
	_, err = js.CreateOrUpdateStream(s.t.Context(), jetstream.StreamConfig{Name: "S", Subjects: subjects, MaxMsgSize: 10_000})
	require.NoError(s.t, err)
}

func TestWhatAnAddressNeeds(t *testing.T) {
	for text, wrong := range map[string]string{
		"nats://h":                             "the address needs ?subject=NAME, or ?stream=NAME",
		"nats://h?stream=S&group=g":            "group is of subjects",
		"nats://h?subject=s&durable=d":         "durable needs stream=NAME",
		"nats://h?subject=s.>&group=g":         "",
		"nats+tls://h?stream=S&durable=d":      "",
		"nats://h?stream=S&subject=a.*&left=1": "", // the engine refuses what is left
	} {
		_, err := newSource(address(t, text))
		if wrong == "" {
			assert.NoError(t, err, text)
		} else {
			assert.ErrorContains(t, err, wrong, text)
		}
	}
	for text, wrong := range map[string]string{
		"nats://h?stream=S":           "the address needs one of these: ?subject=",
		"nats://h?subject=a.>":        `"a.>" is no subject to publish to`,
		"nats://h?subject=a..b":       "no subject to publish to",
		"nats://h?subject=a{":         "a brace without its partner",
		"nats://h?subject=eu.{topic}": "",
		"nats://h?subject=$S.x":       "",
	} {
		_, err := newSink(address(t, text))
		if wrong == "" {
			assert.NoError(t, err, text)
		} else {
			assert.ErrorContains(t, err, wrong, text)
		}
	}
}

func TestSubjectsOfTopics(t *testing.T) {
	tests := []struct{ template, topic, subject, wrong string }{
		{"eu.{topic}", "orders.new", "eu.orders.new", ""},
		{"eu.{topic}", "a b*c>%\n\x7f", "eu.a%20b%2Ac%3E%25%0A%7F", ""},
		{"eu.{topic}", "é", "eu.é", ""},
		{"eu.{topic}", ".a", "", "has an empty token"},
		{"{topic}", "", "", "the message has nothing for {topic}"},
		{"{topic}", "$JS.API.STREAM.DELETE.S", "", "begins with $"},
		{"{topic}", "_INBOX.x", "", "begins with _"},
		{"$X.{topic}", "a", "$X.a", ""},
	}
	for _, test := range tests {
		template, err := connect.ParseTemplate(test.template)
		require.NoError(t, err)
		m, err := (&sink{subject: template}).messageOf(&connect.Message{Topic: test.topic})
		if test.wrong != "" {
			assert.ErrorContains(t, err, test.wrong, test.topic)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, test.subject, m.Subject)
	}
}

func TestSubjectsBothWays(t *testing.T) {
	const n = 10_000
	s := startServer(t)
	source := openSource(t, s.url("?subject=eu.>"), connect.Start{})
	sink := openSink(t, s.url("?subject=eu.{topic}"))
	for i := 0; i < n; i += 250 {
		require.NoError(t, sink.Write(t.Context(), drivertest.Numbers(i, i+250)))
		for j, m := range drivertest.Read(t, source, 250) {
			require.Equal(t, fmt.Sprint(i+j), string(m.Payload))
			require.Equal(t, fmt.Sprint("id-", i+j), m.ID)
			require.Equal(t, "eu.t", m.Meta["subject"])
			value, _ := m.Header("n")
			require.Equal(t, fmt.Sprint(i+j), value)
		}
	}
}

func TestAQueueGroupSharesASubject(t *testing.T) {
	s := startServer(t)
	together := make(chan connect.Message)
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	for range 2 {
		one := openSource(t, s.url("?subject=eu.*&group=g"), connect.Start{})
		go func() {
			for {
				b, err := one.Read(ctx)
				if err != nil {
					return
				}
				for _, m := range b.Messages {
					select {
					case together <- m:
					case <-ctx.Done():
					}
				}
			}
		}()
	}
	require.NoError(t, openSink(t, s.url("?subject=eu.x")).Write(ctx, drivertest.Numbers(0, 200)))
	seen := map[string]bool{}
	for range 200 {
		m := <-together
		assert.False(t, seen[string(m.Payload)])
		seen[string(m.Payload)] = true
	}
}

func TestStreamsBothWays(t *testing.T) {
	const n = 10_000
	s := startServer(t)
	s.makeStream("eu.>")
	sink := openSink(t, s.url("?subject=eu.{topic}&stream=S"))
	for i := 0; i < n; i += 250 {
		require.NoError(t, sink.Write(t.Context(), drivertest.Numbers(i, i+250)))
	}
	require.NoError(t, sink.Write(t.Context(), drivertest.Numbers(n-250, n)), "the server drops what it has already")
	source := openSource(t, s.url("?stream=S"), connect.Start{Durable: true})
	all := drivertest.Read(t, source, n)
	for i, m := range all {
		require.Equal(t, fmt.Sprint(i), string(m.Payload))
		require.Equal(t, fmt.Sprint(i+1), m.Position)
	}

	// conch has the position: the next connection begins behind it.
	start := connect.Start{Durable: true, Positions: map[string]string{all[0].Partition: all[n-3].Position}}
	behind := openSource(t, s.url("?stream=S&durable=D"), start)
	assert.Equal(t, all[n-2:], drivertest.Read(t, behind, 2))
	require.NoError(t, sink.Write(t.Context(), drivertest.Numbers(n, n+1)))
	assert.Equal(t, fmt.Sprint(n), string(drivertest.Read(t, behind, 1)[0].Payload))
	other := openSource(t, s.url("?stream=S&subject=eu.none"), connect.Start{Durable: true})
	ended, end := context.WithCancel(t.Context())
	end()
	_, err := other.Read(ended)
	require.ErrorIs(t, err, context.Canceled)
}

func TestADurableConsumerGetsAgainWhatWasNotAcknowledged(t *testing.T) {
	s := startServer(t)
	s.makeStream("eu.>")
	require.NoError(t, openSink(t, s.url("?subject=eu.a&stream=S")).Write(t.Context(), drivertest.Numbers(0, 100)))
	c, err := nats.Connect(s.url(""))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	js, err := jetstream.New(c)
	require.NoError(t, err)
	_, err = js.CreateConsumer(t.Context(), "S", jetstream.ConsumerConfig{Durable: "D", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 200 * time.Millisecond})
	require.NoError(t, err)

	source := openSource(t, s.url("?stream=S&durable=D"), connect.Start{})
	first, err := source.Read(t.Context())
	require.NoError(t, err)
	require.NoError(t, first.Ack(t.Context(), &connect.Refused{Indices: []int{0}, Err: fmt.Errorf("never")}))
	require.NoError(t, source.Close(t.Context()))
	require.NoError(t, source.Connect(t.Context(), connect.Start{}))
	rest := drivertest.Read(t, source, 100-len(first.Messages))
	for _, m := range rest {
		for _, acked := range first.Messages {
			require.NotEqual(t, acked.Position, m.Position)
		}
	}
}

func TestALostServerEndsAConnection(t *testing.T) {
	s := startServer(t)
	s.makeStream("eu.>")
	core, stream := openSource(t, s.url("?subject=eu.a"), connect.Start{}), openSource(t, s.url("?stream=S&durable=D"), connect.Start{})
	sinks := []connect.Sink{openSink(t, s.url("?subject=eu.a")), openSink(t, s.url("?subject=eu.a&stream=S"))}
	s.kill()
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	for _, source := range []connect.Source{core, stream} {
		_, err := source.Read(ctx)
		require.Error(t, err)
		require.NoError(t, ctx.Err())
		require.NoError(t, source.Close(ctx))
	}
	for _, sink := range sinks {
		require.Error(t, sink.Write(ctx, drivertest.Numbers(0, 1)))
		require.NoError(t, ctx.Err())
		require.NoError(t, sink.Close(ctx))
	}

	s.start() // what the stream has survives the kill
	for _, sink := range sinks {
		require.NoError(t, sink.Connect(ctx))
		require.NoError(t, sink.Write(ctx, drivertest.Numbers(0, 1)))
	}
	require.NoError(t, stream.Connect(ctx, connect.Start{}))
	drivertest.Read(t, stream, 1)
}

func TestWhatIsPermanent(t *testing.T) {
	s := startServer(t)
	s.makeStream("eu.>")
	permanent := (*connect.Permanent)(nil)
	for _, text := range []string{"nats://u:wrong@" + s.host + "?subject=a", s.url("?stream=NONE")} {
		source, err := newSource(address(t, text))
		require.NoError(t, err)
		err = source.Connect(t.Context(), connect.Start{})
		require.ErrorAs(t, err, &permanent, text)
		assert.NotContains(t, err.Error(), "wrong")
		require.NoError(t, source.Close(t.Context()))
	}
	require.ErrorAs(t, openSink(t, s.url("?subject=us.a&stream=S")).Write(t.Context(), drivertest.Numbers(0, 1)), &permanent, "no stream has the subject")
}

func TestAMessageThatIsRefused(t *testing.T) {
	s := startServer(t)
	s.makeStream("eu.>")
	for _, query := range []string{"?subject=eu.{field.id}", "?subject=eu.{field.id}&stream=S"} {
		batch := drivertest.Numbers(0, 5)
		batch[1].Payload = []byte(`{"id":"a"}`)
		batch[3].Payload = []byte(`{"id":"b","text":"` + strings.Repeat("x", 2<<20) + `"}`)
		batch[4].Payload = []byte(`{"id":".."}`)
		refused := (*connect.Refused)(nil)
		require.ErrorAs(t, openSink(t, s.url(query)).Write(t.Context(), batch), &refused)
		assert.Equal(t, []int{0, 2, 3, 4}, refused.Indices)
	}
	batch := drivertest.Numbers(0, 2)
	batch[0].Payload = make([]byte, 20_000) // above the stream's bound
	refused := (*connect.Refused)(nil)
	require.ErrorAs(t, openSink(t, s.url("?subject=eu.a&stream=S")).Write(t.Context(), batch), &refused)
	assert.Equal(t, []int{0}, refused.Indices)
}
