//go:build connect

package connect

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/client"
)

var (
	cost         = flag.Bool("cost", false, "measure messages a second and CPU a message, beside a loop over the same library")
	costSystems  = flag.String("cost.systems", "nats,rabbitmq,redis", "systems to measure")
	costMessages = flag.Int("cost.messages", 50_000, "messages of each run")
	costSizes    = flag.String("cost.sizes", "100,1024", "sizes of the messages")
	costWays     = flag.String("cost.ways", "in,out", "ways to measure")
)

// peer is another system as the measurement sees it: a queue that is filled, read by a loop, written by a loop, and counted.
type peer struct {
	name     string
	from, to string // addresses for conch
	// put and take are the loops. If alike is true, messages have the headers that conch sends, and are acknowledged as conch does it.
	put   func(payload []byte, n int, alike bool)
	take  func(n int, alike bool)
	count func() int
}

// TestCost prints a table: conch with one connector beside a loop over the library of its driver, which does nothing with the messages. CPU is
// that of the process, without what conch needs to start; that of the other system does not count. Out of conch the messages come from a
// durable topic, so reading the log is part of it. The second loop has the headers of conch, and acknowledges as conch does.
func TestCost(t *testing.T) {
	if !*cost {
		t.Skip("make bench-connect measures")
	}
	idle := idleCost(t)
	fmt.Fprintf(os.Stdout, "%-10s %4s %6s  %10s %10s  %8s %8s %8s  %6s %6s\n", "system", "way", "bytes", "loop/s", "conch/s", "loop µs", "alike µs", "conch µs", "CPU", "alike")
	prepare := map[string]func(*testing.T) *peer{"nats": natsPeer, "rabbitmq": rabbitPeer, "redis": redisPeer}
	for system := range strings.SplitSeq(*costSystems, ",") {
		require.Contains(t, prepare, system)
		for size := range strings.SplitSeq(*costSizes, ",") {
			n, err := strconv.Atoi(size)
			require.NoError(t, err)
			for way := range strings.SplitSeq(*costWays, ",") {
				measureCost(t, prepare[system], way, []byte(strings.Repeat("x", n)), idle)
			}
		}
	}
}

// measureCost prints one row.
func measureCost(t *testing.T, prepare func(*testing.T) *peer, way string, payload []byte, idle time.Duration) {
	p := prepare(t)
	if p == nil {
		return
	}
	loop := func(alike bool) spent {
		p := prepare(t)
		if way == "out" {
			return ownCost(t, func() { p.put(payload, *costMessages, alike) })
		}
		p.put(payload, *costMessages, false)
		return ownCost(t, func() { p.take(*costMessages, alike) })
	}
	bare, alike := loop(false), loop(true)
	if way == "out" {
		printCost(p.name, way, len(payload), bare, alike, conchOut(t, p, payload))
		return
	}
	p.put(payload, *costMessages, false)
	printCost(p.name, way, len(payload), bare, alike, conchIn(t, p, idle))
}

// spent is what a run took.
type spent struct{ wall, cpu time.Duration }

func printCost(name, way string, size int, loop, alike, conch spent) {
	rate := func(s spent) float64 { return float64(*costMessages) / s.wall.Seconds() }
	each := func(s spent) float64 { return float64(s.cpu.Microseconds()) / float64(*costMessages) }
	fmt.Fprintf(os.Stdout, "%-10s %4s %6d  %10.0f %10.0f  %8.2f %8.2f %8.2f  %5.2f× %5.2f×\n", name, way, size, rate(loop), rate(conch),
		each(loop), each(alike), each(conch), each(conch)/each(loop), each(conch)/each(alike))
}

// ownCost measures a loop in this process.
func ownCost(t *testing.T, run func()) spent {
	t.Helper()
	usage := func() time.Duration {
		var u syscall.Rusage
		require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start, before := time.Now(), usage()
	run()
	return spent{time.Since(start), usage() - before}
}

// cpu is the CPU time of a conch so far; the kernel counts it in ticks of 10 ms.
func (c *conch) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	require.NoError(c.t, err)
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// idleCost is the CPU that conch needs to start.
func idleCost(t *testing.T) time.Duration {
	c := startConch(t, "")
	defer c.stop()
	return c.settledCPU()
}

// settledCPU is the CPU time of a start, with what it does behind its first line.
func (c *conch) settledCPU() time.Duration {
	<-time.After(500 * time.Millisecond)
	return c.cpu()
}

// conchIn measures a source into a plain topic that has no subscriber.
func conchIn(t *testing.T, p *peer, idle time.Duration) spent {
	start := time.Now()
	c := startConch(t, fmt.Sprintf("[[source]]\nname = 'in'\nfrom = '%s'\ntopic = 'in'\n", p.from))
	defer c.stop()
	eventually(t, func() bool { return c.info("messages_published") >= *costMessages }, "all is in")
	return spent{time.Since(start), c.cpu() - idle}
}

// conchOut measures a sink on a durable topic that was filled before.
func conchOut(t *testing.T, p *peer, payload []byte) spent {
	c := startConch(t, "")
	defer c.kill()
	payloads := make([]string, *costMessages)
	for i := range payloads {
		payloads[i] = string(payload)
	}
	c.publish("d.out", payloads...)
	c.stop()
	c.restart() // to see what a start with this log costs
	idle := c.settledCPU()
	c.stop()
	file := filepath.Join(c.state, "conch.toml")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	sink := fmt.Sprintf("[[sink]]\nname = 'out'\ntopic = 'd.out'\nto = '%s'\n", p.to)
	require.NoError(t, os.WriteFile(file, append(text, sink...), 0o600))
	start := time.Now()
	c.restart()
	eventually(t, func() bool { return p.count() >= *costMessages }, "all is out")
	return spent{time.Since(start), c.cpu() - idle}
}

// info is a number of INFO.
func (c *conch) info(field string) int {
	_, after, _ := strings.Cut(redisCLI(c.t, c.address, "INFO"), field+":")
	line, _, _ := strings.Cut(after, "\r\n")
	n, _ := strconv.Atoi(line)
	return n
}

// redisCLI is the answer to a command, by a process of its own: it costs neither the loop nor conch a connection.
func redisCLI(t *testing.T, address string, command ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	out, err := exec.Command("redis-cli", append([]string{"-h", host, "-p", port}, command...)...).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// costVia is as long as the id of a conch.
const costVia = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

var costRedis = &server{process: process{name: "redis-server"}}

// redisPeer is a stream of Redis.
func redisPeer(t *testing.T) *peer {
	if costRedis.cmd == nil {
		var port string
		costRedis.address, port = freeAddress(t)
		costRedis.command = func() *exec.Cmd {
			return exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
		}
		costRedis.use(t)
	}
	queues++
	stream := fmt.Sprint("s", queues)
	c, err := client.Dial(t.Context(), client.Options{Addr: costRedis.address})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return &peer{
		name: "redis", from: "redis://" + costRedis.address + "?stream=" + stream + "&from=start", to: "redis://" + costRedis.address + "?stream=" + stream,
		put: func(payload []byte, n int, alike bool) {
			batch := make([]client.Entry, 0, 256)
			for i := range n {
				fields := []client.Field{{Name: "message", Value: string(payload)}}
				if alike {
					fields = append(fields, client.Field{Name: "conch-via", Value: costVia})
				}
				batch = append(batch, client.Entry{Stream: stream, Fields: fields})
				if len(batch) == cap(batch) || i == n-1 {
					for _, a := range c.AppendBatch(t.Context(), batch) {
						require.NoError(t, a.Err)
					}
					batch = batch[:0]
				}
			}
		},
		take: func(n int, _ bool) {
			taken := 0
			for _, err := range c.Range(t.Context(), stream, client.Span{}) {
				require.NoError(t, err)
				taken++
			}
			require.Equal(t, n, taken)
		},
		count: func() int {
			n, err := strconv.Atoi(redisCLI(t, costRedis.address, "XLEN", stream))
			require.NoError(t, err)
			return n
		},
	}
}

var costNATS = &server{process: process{name: "nats-server"}}

// natsPeer is a stream of JetStream, in memory.
func natsPeer(t *testing.T) *peer {
	if _, err := exec.LookPath("nats-server"); err != nil {
		return nil
	}
	if costNATS.cmd == nil {
		var port string
		costNATS.address, port = freeAddress(t)
		costNATS.command = func() *exec.Cmd {
			return exec.Command("nats-server", "-a", "127.0.0.1", "-p", port, "-js", "-sd", filepath.Join(root, "nats"))
		}
		costNATS.use(t)
	}
	queues++
	stream := fmt.Sprint("s", queues)
	c, err := nats.Connect("nats://" + costNATS.address)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	js, err := jetstream.New(c, jetstream.WithPublishAsyncMaxPending(256))
	require.NoError(t, err)
	ctx := t.Context()
	made, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{stream}, Storage: jetstream.MemoryStorage})
	require.NoError(t, err)
	return &peer{
		name: "nats", from: "nats://" + costNATS.address + "?stream=" + stream + "&durable=conch", to: "nats://" + costNATS.address + "?subject=" + stream + "&stream=" + stream,
		put: func(payload []byte, n int, alike bool) {
			for i := range n {
				m := &nats.Msg{Subject: stream, Data: payload}
				if alike {
					m.Header = nats.Header{
						"conch-via": {costVia}, jetstream.ExpectedStreamHeader: {stream}, nats.MsgIdHdr: {fmt.Sprintf("d.out/%d-0", i)},
					}
				}
				_, err := js.PublishMsgAsync(m, jetstream.WithStallWait(patience))
				require.NoError(t, err)
			}
			<-js.PublishAsyncComplete()
		},
		take: func(n int, alike bool) {
			every, policy := 256, jetstream.AckAllPolicy
			if alike { // others may share the consumer
				every, policy = 1, jetstream.AckExplicitPolicy
			}
			consumer, err := made.CreateConsumer(ctx, jetstream.ConsumerConfig{AckPolicy: policy, MaxAckPending: 2048})
			require.NoError(t, err)
			messages, err := consumer.Messages(jetstream.PullMaxMessages(1024))
			require.NoError(t, err)
			defer messages.Stop()
			for i := range n {
				m, err := messages.Next()
				require.NoError(t, err)
				if i%every == every-1 || i == n-1 {
					require.NoError(t, m.Ack())
				}
			}
		},
		count: func() int {
			info, err := made.Info(context.Background())
			require.NoError(t, err)
			return int(info.State.Msgs)
		},
	}
}

// rabbitPeer is a queue of RabbitMQ.
func rabbitPeer(t *testing.T) *peer {
	startRabbit(t)
	queue := rabbitQueue(t)
	address := "amqp://guest:guest@" + rabbit.address
	return &peer{
		name: "rabbitmq", from: address + "?queue=" + queue, to: address + "?queue=" + queue,
		put: func(payload []byte, n int, alike bool) {
			channel := rabbitChannel(t)
			require.NoError(t, channel.Confirm(false))
			waiting := make(chan *amqp.DeferredConfirmation, 256)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for c := range waiting {
					c.Wait()
				}
			}()
			for i := range n {
				p := amqp.Publishing{Body: payload, DeliveryMode: amqp.Persistent}
				if alike {
					p.MessageId, p.Timestamp, p.Headers = fmt.Sprintf("d.out/%d-0", i), time.Now(), amqp.Table{"conch-via": costVia}
				}
				c, err := channel.PublishWithDeferredConfirm("", queue, alike, false, p)
				require.NoError(t, err)
				waiting <- c
			}
			close(waiting)
			<-done
		},
		take: func(n int, _ bool) {
			channel := rabbitChannel(t)
			require.NoError(t, channel.Qos(1024, 0, false))
			deliveries, err := channel.Consume(queue, "", false, false, false, false, nil)
			require.NoError(t, err)
			for i := range n {
				d := <-deliveries
				if i%256 == 255 || i == n-1 {
					require.NoError(t, d.Ack(true))
				}
			}
		},
		count: func() int {
			q, err := rabbitChannel(t).QueueDeclarePassive(queue, true, false, false, false, nil)
			require.NoError(t, err)
			return q.Messages
		},
	}
}
