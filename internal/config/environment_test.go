package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestUnknownVariables(t *testing.T) {
	known := []string{"CONCH_CONFIG=x", "CONCH_URL=x", "CONCH_PASSWORD_FILE=x", "CONCH_COMPLETE="}
	for i := range settingsTable {
		known = append(known, settingsTable[i].Env()+"=x")
	}
	assert.Empty(t, UnknownVariables(known))
	others := []string{"PATH=/bin", "XCONCH_LISTN=1", "conch_listen=1"}
	kubernetes := []string{"CONCH_PORT=tcp://10.0.0.1:8889", "CONCH_PORT_8889_TCP_ADDR=10.0.0.1", "CONCH_SERVICE_HOST=10.0.0.1"}
	assert.Empty(t, UnknownVariables(append(others, kubernetes...)))
	assert.Equal(t, []string{
		`"CONCH_A\x1b"`, "CONCH_LISTN (did you mean CONCH_LISTEN?)", "CONCH_MAXLINE (did you mean CONCH_MAX_LINE?)", "CONCH_ZZZZZZZZ",
	}, UnknownVariables([]string{"CONCH_ZZZZZZZZ=1", "CONCH_MAXLINE=1", "CONCH_LISTN=:1", "CONCH_A\x1b=1"}))
}
