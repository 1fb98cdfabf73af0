package cluster_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
	"github.com/conchmq/conch/internal/log"
)

// fullDisk replaces some files, and no more.
type fullDisk struct {
	log.Files
	left int
}

var errDiskFull = errors.New("the disk is full")

func (f *fullDisk) Rename(from, to string) error {
	if f.left == 0 {
		return errDiskFull
	}
	f.left--
	return f.Files.Rename(from, to)
}

// A node that cannot write what a new cluster begins with does not open, whichever of its first writes fails.
func TestAFirstTermThatCannotBeWritten(t *testing.T) {
	c := newNodes(t, "a")
	n := c.all[0]
	failed := 0
	for ; ; failed++ {
		c.options = func(_ *node, o *cluster.Options) { o.Small = &fullDisk{o.Small, failed} }
		err := c.open(n, "a")
		if err == nil {
			break
		}
		require.ErrorContains(t, err, errDiskFull.Error())
		n = newNode("a")
		c.all[0] = n
	}
	require.Equal(t, 3, failed, "the name, the incarnation, and the term")
	c.stop(n)
}
