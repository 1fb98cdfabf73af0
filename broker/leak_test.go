package broker

import (
	"testing"

	"go.uber.org/goleak"
)

// A core that a test forgot to stop would keep all its subscribers alive.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
