package web_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/web"
)

// docs/http.md has the routes, in the order of the table.
func TestRoutesOfTheDocs(t *testing.T) {
	var documented [][]string
	for _, row := range harness.Table(t, "../../docs/http.md", "routes") {
		documented = append(documented, row[:3])
	}
	assert.Equal(t, web.Routes(), documented)
}
