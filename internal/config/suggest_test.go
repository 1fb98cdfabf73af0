package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"lissten", "listen", 1}, {"listen", "listen", 0}, {"kitten", "sitting", 3}} {
		assert.Equal(t, c.want, edits(c.a, c.b), "%s %s", c.a, c.b)
	}
}
