package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// docs/predicates.md says which predicates are refused, and with which words.
func TestRefusedPredicatesOfTheDocs(t *testing.T) {
	c := harness.Start(t, server.Options{}).Dial(t)
	for _, row := range harness.Table(t, "../docs/predicates.md", "refused") {
		require.Len(t, row, 2, "%q", row)
		predicate, answer := row[0], row[1]
		c.Send("SUB orders WHERE %s\n", predicate)
		assert.Equal(t, answer, c.Line())
		assert.Equal(t, "# "+predicate, c.Line())
		var column int
		_, err := fmt.Sscanf(answer, "ERR wrong predicate, column %d", &column)
		require.NoError(t, err)
		assert.Equal(t, "# "+strings.Repeat(" ", column-1)+"^", c.Line())
	}
	c.Fence()
}
