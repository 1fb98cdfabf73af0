package bench

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A stamp decodes to its input, and lines do not escape it.
func TestStamp(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 1000 {
		publisher, sequence := random.IntN(maxPublishers), random.IntN(maxSequence+1)
		at := time.Duration(random.Int64N(1 << 48))
		switch i {
		case 0:
			publisher, sequence, at = 0, 0, 0
		case 1:
			publisher, sequence, at = maxPublishers-1, maxSequence, 1<<48-1
		}
		var b [stampLen]byte
		putStamp(b[:], publisher, sequence, at)
		_, ok := readWord(b[:])
		assert.True(t, ok)
		assert.Equal(t, stamp{publisher, sequence, at}, readStamp(b[:]))
		for _, c := range b[:16] {
			assert.True(t, '0' <= c && c <= 'o', "%q", b)
		}
	}
}

// Characters outside of the alphabet are detected at every position.
func TestWordRefusesOtherCharacters(t *testing.T) {
	for _, c := range []byte{0, ' ', '/', 'p', 'z', '~', 0x7F, 0x80, 0xFF, '\r', '\n'} {
		for i := range 8 {
			b := []byte("00000000")
			b[i] = c
			_, ok := readWord(b)
			assert.False(t, ok, "%q", b)
		}
	}
	_, ok := readWord([]byte("0Aaoooo0"))
	assert.True(t, ok)
}
