package store

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/stream"
)

// run appends messages as one change.
func (s *opened) run(key string, messages ...string) {
	s.t.Helper()
	list := make([][]byte, len(messages))
	for i, m := range messages {
		list[i] = []byte(m)
	}
	c := &stream.Change{Time: s.Now(), Sequence: s.sequence + 1}
	n, err := s.Streams().PlanRun(c, []byte(key), list)
	require.NoError(s.t, err)
	require.Equal(s.t, len(list), n)
	s.sequence += uint64(n) //nolint:gosec // a count
	s.append(c)
}

// Some entries of runs are deleted, segments are written again, and a restart follows: each entry is as it was, and the dead ones give
// back their space.
func TestRunsAreWrittenAgainInPart(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "log"), SegmentSize: MinSegmentSize, Fsync: FsyncAlways}
	s := open(t, o)
	s.Start(s.core)
	want := map[string][]string{}
	for n := range 300 {
		for _, key := range []string{"a", "b"} {
			messages := make([]string, 1+n%40)
			for i := range messages {
				messages[i] = fmt.Sprintf("%s %d %d %s", key, n, i, strings.Repeat("x", 80+i*(n%2)))
			}
			s.run(key, messages...)
			want[key] = append(want[key], messages...)
		}
		s.serveWaiting()
	}
	full := s.Status()
	removed := want["a"][:0:0]
	st := s.Streams().Lookup([]byte("a"))
	var ids []stream.ID
	all := st.Range(stream.MinID, stream.MaxID, 0, false)
	all.Each(func(ordinal uint64, id stream.ID) bool {
		if ordinal%5 < 3 || ordinal%100 < 50 {
			ids = append(ids, id)
		} else {
			removed = append(removed, want["a"][ordinal-1])
		}
		return true
	})
	want["a"] = removed
	for len(ids) > 0 {
		c := &stream.Change{Time: s.Now(), Sequence: s.sequence}
		n := min(100, len(ids))
		require.Equal(t, n, s.Streams().PlanDelete(c, st, ids[:n]))
		s.append(c)
		ids = ids[n:]
	}
	require.NoError(t, s.log.Sync())
	s.Compact()
	s.serveUntil(func() bool {
		return s.Status().RewrittenSegments > uint64(full.Segments/2) && s.Status().Bytes < full.Bytes
	}) //nolint:gosec // a count
	for key, texts := range want {
		assert.Equal(t, texts, s.entries(key), key)
	}
	digest := s.Streams().Digest()
	s.stop()
	require.NoError(t, s.Close(s.sequence))

	again := open(t, o)
	assert.Equal(t, digest, again.Streams().Digest())
	for key, texts := range want {
		assert.Equal(t, texts, again.entries(key), key)
	}
	require.NoError(t, again.Close(again.sequence))
	checked, faults := verify(t, o.Dir)
	assert.Empty(t, faults)
	assert.EqualValues(t, len(want["a"])+len(want["b"]), checked.Visible)
}
