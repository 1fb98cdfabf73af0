package command

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The reader looks for the password of HELLO where the core will look for it, whatever the options.
func TestThePasswordOfHelloIsThere(t *testing.T) {
	words := []string{"AUTH", "auth", "SETNAME", "x", "a b"}
	var options [][]byte
	var try func(left int)
	try = func(left int) {
		if h, err := parseHello(options); err == nil && h.auth > 0 {
			assert.Less(t, h.auth+1, len(options))
			assert.Contains(t, []string{"AUTH", "auth"}, string(options[h.auth-1]))
		}
		for i := 0; left > 0 && i < len(words); i++ {
			options = append(options, []byte(words[i]))
			try(left - 1)
			options = options[:len(options)-1]
		}
	}
	try(6)
}
