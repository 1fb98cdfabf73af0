package command

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What waits for those that do not read goes first; then it is the turn of those that hold most of anything.
func TestTheOrderOfEviction(t *testing.T) {
	const much = 100
	claims := []memoryClaim{{all: 90, waits: 90}, {all: 5000}, {all: 120, waits: 110}, {all: 300, waits: 20}, {all: 700, waits: 600}}
	slices.SortFunc(claims, func(a, b memoryClaim) int { return a.compare(b, much) })
	assert.Equal(t, []memoryClaim{{all: 700, waits: 600}, {all: 120, waits: 110}, {all: 5000}, {all: 300, waits: 20}, {all: 90, waits: 90}}, claims)
}
