package web_test

import (
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/log"
	"github.com/conchmq/conch/internal/store"
	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// slowDisk is a directory in which no sync ends before open is closed, once it is armed.
type slowDisk struct {
	log.Files
	armed atomic.Bool
	open  chan struct{}
}

func (d *slowDisk) Create(name string, size int64) (log.File, error) {
	f, err := d.Files.Create(name, size)
	return slowFile{f, d}, err
}

type slowFile struct {
	log.File
	disk *slowDisk
}

func (f slowFile) Sync() error {
	if f.disk.armed.Load() {
		<-f.disk.open
	}
	return f.File.Sync()
}

// No answer shows an entry before it is as safe as fsync demands: neither that of its append nor those that read it, and no tag.
func TestAnswersWaitForTheLog(t *testing.T) {
	disk := &slowDisk{open: make(chan struct{})}
	kept, err := store.Open(store.Options{
		Dir: filepath.Join(t.TempDir(), "log"), Fsync: store.FsyncAlways,
		Wrap: func(f log.Files) log.Files { disk.Files = f; return disk },
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, kept.Close(0)) })
	s := start(t, server.Options{Store: kept}, web.Options{})
	kept.Start(s.Service())
	t.Cleanup(kept.Stop)
	open := sync.OnceFunc(func() { close(disk.open) })
	t.Cleanup(open)
	require.Equal(t, http.StatusOK, s.request("POST", "/streams/orders", "safe").StatusCode)

	disk.armed.Store(true)
	var released atomic.Bool
	var waiting sync.WaitGroup
	send := func(method, path string, options ...option) {
		waiting.Go(func() {
			a := s.request(method, path, "x", options...)
			assert.True(t, released.Load(), "%s %s is answered before", method, path)
			assert.Less(t, a.StatusCode, 500)
		})
	}
	send("POST", "/streams/orders")
	harness.Eventually(t, func() bool { return kept.Unsynced() > 0 }, "an append waits")
	send("POST", "/streams/orders", header("If-None-Match", "*")) // 412 shows the id
	send("GET", "/streams/orders")
	send("HEAD", "/streams/orders")
	send("GET", "/read?stream=*")
	harness.Eventually(t, func() bool { return s.Service().Counts.Open.Load() == 5 || t.Failed() }, "all have begun")
	released.Store(true)
	open()
	waiting.Wait()
}
