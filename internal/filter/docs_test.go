package filter_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/harness"
)

// Each row of the table in docs/predicates.md holds.
func TestTableOfTheDocs(t *testing.T) {
	words := map[filter.Verdict]string{filter.Yes: "yes", filter.No: "no", filter.Unreadable: "unreadable"}
	for _, row := range harness.Table(t, "../../docs/predicates.md", "predicates") {
		require.Len(t, row, 4, "%q", row)
		expression, message, matches, why := row[0], row[1], row[2], row[3]
		t.Run(expression+" "+message, func(t *testing.T) {
			p, err := filter.Compile(expression, filter.Limits{})
			require.NoError(t, err)
			var m filter.Message
			m.Reset([]byte("orders.eu"), []byte(message), filter.Limits{})
			assert.Equal(t, matches, words[p.Match(&m)], why)
		})
	}
}
