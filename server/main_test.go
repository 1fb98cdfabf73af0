package server_test

import (
	"flag"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/harness"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata with what the server answers")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The transcripts are the specification of the wire: what is sent on which connection, and what each gets.
func TestTranscripts(t *testing.T) {
	paths, err := filepath.Glob("../testdata/transcripts/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			harness.Play(t, path, *update)
		})
	}
}
