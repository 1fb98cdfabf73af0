package soak

import (
	"math/rand/v2"
	"strings"
)

// valid are commands that nothing is wrong with, in both dialects. None of them stops the server, ends another's
// connection or changes a setting, and no mutation of a few bytes makes that of them. Their topics are not those that the
// order is checked on.
var valid = []string{
	"PUB bad it's raining\n", "SUB bad bad2\r\n", "UNSUB bad\n", "PSUB bad*\n", "PUNSUB bad*\r\n", "HELP\r\n", "PING\r\n",
	"ECHO \"a\\x00b\"\r\n", "CLIENT LIST\r\n", "COMMAND\r\n", "INFO\n", "\xff\xfb\x01SUB bad\r\n",
	"*3\r\n$7\r\nPUBLISH\r\n$3\r\nbad\r\n$5\r\nhello\r\n",
	"*2\r\n$9\r\nSUBSCRIBE\r\n$3\r\nbad\r\n",
	"*2\r\n$10\r\nPSUBSCRIBE\r\n$9\r\nb[a-z]?\\**\r\n",
	"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n",
	"*1\r\n$5\r\nMULTI\r\n*3\r\n$7\r\nPUBLISH\r\n$3\r\nbad\r\n$0\r\n\r\n*1\r\n$4\r\nEXEC\r\n",
	"*3\r\n$6\r\nPUBSUB\r\n$8\r\nCHANNELS\r\n$4\r\nbad*\r\n",
	"*1\r\n$5\r\nRESET\r\n", "*1\r\n$4\r\nQUIT\r\n",
	"*4\r\n$6\r\nCLIENT\r\n$7\r\nSETINFO\r\n$8\r\nlib-name\r\n$3\r\nbad\r\n",
}

// killers are inputs that have broken parsers of this kind before.
var killers = []string{
	"*1\r\n$9223372036854775807\r\n", "*1\r\n$-2\r\n", "*-1\r\n", "*2147483648\r\n", "*1048576\r\n", "*1\r\n$2147483647\r\nx",
	"$5\r\nhello\r\n", "*1\r\n:1\r\n", "*\r\n", "\r\n\r\n\r\n", "\x00\x01\x02\xff\xff\xff", "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
	"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "PING \"unbalanced\r\n", "PUB\n", "SUB \n", "PSUB [\n",
	"*3\r\n$7\r\nPUBLISH\r\n$3\r\nbad\r\n$20000000\r\n", strings.Repeat("A", 70_000), strings.Repeat("*1\r\n", 5_000),
	strings.Repeat("PSUB bad[\\\n", 200), "PUB " + strings.Repeat("t", 5_000) + " x\n",
}

// hostile makes one bad input: a few commands, of which bytes are changed, left out, doubled or cut off, or a killer.
func hostile(rng *rand.Rand) []byte {
	if rng.IntN(4) == 0 {
		return []byte(killers[rng.IntN(len(killers))])
	}
	var b []byte
	for range 1 + rng.IntN(4) {
		b = append(b, valid[rng.IntN(len(valid))]...)
	}
	for range 1 + rng.IntN(6) {
		i := rng.IntN(len(b))
		switch rng.IntN(6) {
		case 0:
			b[i] = byte(rng.Uint32())
		case 1:
			b[i] = "\r\n*$:+-09 \"\\"[rng.IntN(12)]
		case 2:
			b = append(b[:i], b[i+1:]...)
		case 3:
			b = append(b[:i:i], append([]byte{b[i]}, b[i:]...)...)
		case 4:
			b[i] ^= 1 << rng.IntN(8)
		case 5:
			b = b[:i+1]
		}
		if len(b) == 0 {
			return []byte{0}
		}
	}
	return b
}
