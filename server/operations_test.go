package server_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// docs/operations.md explains every field of INFO, and with them every reason, as ended_ and its name. It has no others.
func TestOperationsNameEachField(t *testing.T) {
	page, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	c := harness.Start(t, server.Options{}).Dial(t)
	c.Command("INFO")
	frame, err := c.Frame()
	require.NoError(t, err)
	fields := map[string]bool{}
	for _, line := range strings.Split(string(frame), "\r\n") {
		if name, _, ok := strings.Cut(line, ":"); ok {
			assert.Contains(t, string(page), "`"+name+"`", "docs/operations.md does not explain it")
			fields[name] = true
		}
	}
	assert.Greater(t, len(fields), 30)
	for _, table := range []string{"reasons", "counters"} {
		for _, row := range harness.Table(t, "../docs/operations.md", table) {
			for name := range strings.SplitSeq(row[0], ", ") {
				assert.True(t, fields[strings.Trim(name, "`")], "INFO has no %s", name)
			}
		}
	}
}
