package server_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/conchtest"
	"github.com/conchmq/conch/server"
)

// Whoever operates conch finds every field of INFO explained, and with them every reason, as ended_ and its name.
func TestOperationsNameEachField(t *testing.T) {
	page, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	c := conchtest.Start(t, server.Options{}).Dial(t)
	c.Command("INFO")
	frame, err := c.Frame()
	require.NoError(t, err)
	fields := 0
	for _, line := range strings.Split(string(frame), "\r\n") {
		if name, _, ok := strings.Cut(line, ":"); ok {
			assert.Contains(t, string(page), "`"+name+"`", "docs/operations.md does not explain it")
			fields++
		}
	}
	assert.Greater(t, fields, 30)
}
