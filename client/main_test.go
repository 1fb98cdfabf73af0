package client

import (
	"testing"

	"go.uber.org/goleak"
)

// No goroutine outlives what it was started for.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
