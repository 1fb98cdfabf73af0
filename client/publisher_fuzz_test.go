package client

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzPublisher lets a server send anything, in two parts, after reading so many bytes. The account of the publisher is
// right, no unwritten message is acknowledged, and the publisher ends.
func FuzzPublisher(f *testing.F) {
	for _, text := range []string{
		"", ":1\r\n:1\r\n:1\r\n:1\r\n", ":1\r\n:1\r\n:1\r\n:1\r\n:1\r\n", ":1\r\n:", "-ERR no\r\n:1\r\n", "*2\r\n:1\r\n:1\r\n*2\r\n:1\r\n:2\r\n",
		"*2\r\n:1\r\n:1\r\n*2\r\n:1\r\n:1\r\n", ">1\r\n:1\r\n", "$9223372036854775807\r\n", "*-2\r\n", ":-1\r\n", "|1\r\n:1\r\n:1\r\n:1\r\n",
		"-\r\n-\r\n-\r\n-\r\n", "!5\r\nERR x\r\n:1\r\n", "*2\r\n:1\r\n-ERR\r\n",
	} {
		f.Add([]byte(text), uint(3), uint(50), false)
		f.Add([]byte(text), uint(9), uint(1000), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, split, read uint, hasSeq bool) {
		synctest.Test(t, func(t *testing.T) {
			c, server := pipe(t, hasSeq)
			p := startPublisher([]*conn{c}, Options{PingAfter: time.Second / 2}, PublisherOptions{Window: 2, WindowBytes: 200, Grace: time.Second})
			published := make(chan []sent)
			go func() {
				messages, _ := publishAll(context.Background(), p, "t", "m", 4, "") // as many as fit
				published <- messages
			}()
			got, _ := io.ReadFull(server, make([]byte, min(read, 20)))
			split = min(split, uint(len(text)))
			server.send(string(text[:split]))
			more := make(chan int)
			go func() {
				n, _ := io.Copy(io.Discard, io.LimitReader(server, int64(read)))
				more <- int(n)
			}()
			server.send(string(text[split:]))
			server.close()
			messages := <-published
			_ = p.Close() // tally checks the outcome
			acked, unacked := tally(t, p, "t", messages)
			length := len(appendPublish(nil, "t", []byte("m-0")))
			assert.LessOrEqual(t, len(acked), (got+<-more)/length, "acknowledged, and not sent")
			require.Len(t, messages, len(acked)+len(unacked))
		})
	})
}
