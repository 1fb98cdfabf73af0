//go:build soak

package soak

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/attack"
)

// certificate makes a certificate that signs itself, and returns the options that name it.
func certificate(t *testing.T) []string {
	options, err := attack.Certificate(t.TempDir())
	require.NoError(t, err)
	return options
}
