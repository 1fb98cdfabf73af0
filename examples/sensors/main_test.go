package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/conchtest"
)

func TestOnlyAlarmsArrive(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), conchtest.Start(t).URL(), &out))
	assert.Equal(t, "ALARM sensors.boiler {\"celsius\": 93.5, \"state\": \"on\"}\nALARM sensors.oven {\"celsius\": 230, \"state\": \"on\"}\n", out.String())
}
