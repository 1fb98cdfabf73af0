package main

import (
	"context"
	"errors"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/test/bench/servers"
)

func TestTheMinuteAfterALoadEndsEarly(t *testing.T) {
	failed := errors.New("2 messages were lost")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		sentence string
		ctx      context.Context
		load     error
		want     error
	}{
		{"after a load that failed", t.Context(), failed, failed},
		{"when the run is stopped", over, nil, context.Canceled},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			server, err := servers.Launch(t.Context(), "", func(ctx context.Context) *exec.Cmd {
				return exec.CommandContext(ctx, "sleep", "300")
			})
			require.NoError(t, err)
			_, err = (&process{Process: server}).settle(test.ctx, test.load)
			assert.ErrorIs(t, err, test.want)
			assert.Error(t, server.Running(), "the server is stopped")
		})
	}
	_, err := (*process)(nil).settle(t.Context(), failed)
	assert.ErrorIs(t, err, failed, "where no server could be started")
}
