package server_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// The answers were taken from Redis 7.0.
func TestScanOfAnEmptyDatabase(t *testing.T) {
	const nothing = "*2\r\n$1\r\n0\r\n*0\r\n"
	c := harness.Start(t, server.Options{}).Dial(t)
	for command, want := range map[string]string{
		"SCAN 0":                               nothing,
		"SCAN -1":                              nothing,
		"SCAN +1":                              nothing,
		"SCAN 18446744073709551615":            nothing,
		"SCAN 0 MATCH a* COUNT 10 TYPE string": nothing,
		"SCAN 0 match a* match b*":             nothing,
		"SCAN":                                 "-ERR wrong number of arguments for 'scan' command\r\n",
		"SCAN x":                               "-ERR invalid cursor\r\n",
		"SCAN +-1":                             "-ERR invalid cursor\r\n",
		"SCAN 18446744073709551616":            "-ERR invalid cursor\r\n",
		"SCAN x MATCH":                         "-ERR invalid cursor\r\n",
		"SCAN 0 MATCH":                         "-ERR syntax error\r\n",
		"SCAN 0 COUNT 0":                       "-ERR syntax error\r\n",
		"SCAN 0 COUNT x":                       "-ERR value is not an integer or out of range\r\n",
		"SCAN 0 x":                             "-ERR syntax error\r\n",
		"SCAN 0 x y":                           "-ERR syntax error\r\n",
	} {
		assert.Equal(t, want, frame(t, c, strings.Fields(command)...), command)
	}
	assert.Equal(t, nothing, frame(t, c, "SCAN", ""))
	assert.Equal(t, "-ERR invalid cursor\r\n", frame(t, c, "SCAN", " 1"))
}
