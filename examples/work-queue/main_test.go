package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/conchtest"
)

func TestAllJobsAreDone(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), conchtest.Start(t).URL(), &out))
	assert.Equal(t, "ann takes 1.png and dies\nbob has done 6 pictures, those of ann included\n", out.String())
}
