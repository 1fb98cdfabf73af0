//go:build cluster

package cluster

import (
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/client"
)

var (
	behind     = flag.Int("behind", 20_000, "how many entries a node lacks when it comes back")
	behindSize = flag.Int("behind.size", 0, "random bytes of each of these entries, beside its number")
	behindTime = flag.Duration("behind.time", patience, "how long it may take until the node serves clients")
	behindDir  = flag.String("behind.dir", "", "where the directories of the nodes are, each of which takes about 100 bytes an entry and behind.size; empty: with temporary files")
)

// many is the durable topic of the entries that a node lacks.
const many = "d.many"

// A node that was away while many entries were added serves no client before it has them all, in the order of the others.
func TestFarBehind(t *testing.T) {
	dir := *behindDir
	if dir == "" {
		dir = t.TempDir()
	}
	c := startNodes(t, 1, dir, "--durable=d.*", "--max-memory=8GiB")
	away := c.all[count-1]
	require.NoError(t, away.end(syscall.SIGKILL))
	started := time.Now()
	step := func(format string, args ...any) {
		t.Helper()
		t.Logf("%s: "+format, append([]any{time.Since(started).Round(time.Millisecond)}, args...)...)
		started = time.Now()
	}
	again := addMany(t, c, *behind)
	length := lengthOf(t, c.all[0])
	step("%d entries added for %d publishes, of which %d were published again; %s of disk each", length, *behind, again, c.all[0].diskPer(t, length))
	require.GreaterOrEqual(t, length, *behind)

	require.NoError(t, away.start(false))
	assert.GreaterOrEqual(t, firstLength(t, away), length, "it has served a client too early")
	step("the node serves clients")

	want := digestMany(t, c, c.all[0])
	step("the entries of %s are read", c.all[0].name)
	for _, n := range c.all[1:] {
		assert.Equal(t, want, digestMany(t, c, n), "%s differs from %s", n.name, c.all[0].name)
		step("and those of %s", n.name)
	}
	require.Empty(t, c.defects())
}

// addMany publishes to the durable topic on the nodes that are there, and returns how many publishes had no acknowledgement: these come again,
// and may be there twice.
func addMany(t *testing.T, c *nodes, entries int) (again int) {
	o := client.Options{Dialer: c.dial, PingAfter: 5 * time.Second}
	for _, n := range c.all[:count-1] {
		o.Addresses = append(o.Addresses, n.address())
	}
	p, err := client.NewPublisher(t.Context(), o, client.PublisherOptions{Connections: 4, Reconnect: true})
	require.NoError(t, err)
	const batch = 500
	var records []client.Record
	random := randomBytes(1<<20 + *behindSize)
	for added := 0; added < entries || len(records) > 0; {
		for ; len(records) < batch && added < entries; added++ {
			at := added % (1 << 20)
			records = append(records, client.Record{Topic: many, Payload: append([]byte(payload(strconv.Itoa(added), 40)), random[at:at+*behindSize]...)})
		}
		ids, err := p.PublishBatch(t.Context(), records)
		records = records[:copy(records, records[len(ids):])]
		if added == entries && len(records) == 0 && err == nil {
			err = p.Flush(t.Context())
		}
		if err == nil {
			continue
		}
		lost := p.Unacked()
		require.NotEmpty(t, lost, err)
		again += len(lost)
		for _, u := range lost {
			records = append(records, client.Record{Topic: many, Payload: u.Payload})
		}
		wait(50 * time.Millisecond) // a leader is elected
	}
	require.NoError(t, p.Close())
	return again
}

// randomBytes are bytes that no log can compress.
func randomBytes(n int) []byte {
	all := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(all) // never fails
	return all
}

// digestMany reads all entries of the durable topic, and hashes what they are and their places.
func digestMany(t *testing.T, c *nodes, n *node) (all struct {
	entries int
	hash    uint64
},
) {
	reader, hash := c.connect(n), fnv.New64a()
	defer func() { _ = reader.Close() }() // always nil
	for e, err := range reader.Entries(t.Context(), client.Query{Streams: []string{many}}) {
		require.NoError(t, err)
		_, _ = io.WriteString(hash, e.Position) // a hash never fails
		for _, f := range e.Fields {
			_, _ = io.WriteString(hash, f.Value)
		}
		all.entries++
	}
	all.hash = hash.Sum64()
	return all
}

func lengthOf(t *testing.T, n *node) int {
	frame, err := n.request("XLEN", many)
	require.NoError(t, err)
	length, err := strconv.Atoi(strings.Trim(frame, ":\r\n"))
	require.NoError(t, err)
	return length
}

// diskPer is how much of its disk a node takes for an entry.
func (n *node) diskPer(t *testing.T, entries int) string {
	var size int64
	require.NoError(t, filepath.WalkDir(n.disk, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				size += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) { // the node has removed it meanwhile
			return nil
		}
		return err
	}))
	return fmt.Sprintf("%d bytes", size/int64(max(entries, 1)))
}

// firstLength is how many entries a node has when it serves its first client.
func firstLength(t *testing.T, n *node) int {
	for start := time.Now(); time.Since(start) < *behindTime; {
		frame, err := n.request("XLEN", many)
		if err == nil {
			length, err := strconv.Atoi(strings.Trim(frame, ":\r\n"))
			require.NoError(t, err)
			return length
		}
		require.False(t, n.hasEnded(), "%s has ended: %v", n.name, n.err)
		wait(50 * time.Millisecond)
	}
	require.Fail(t, "it serves no client", "%s, %s", n.name, *behindTime)
	return 0
}
