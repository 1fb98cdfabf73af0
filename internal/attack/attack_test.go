package attack

import (
	"bufio"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestScenariosHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Scenarios() {
		assert.False(t, seen[s.Name], s.Name)
		seen[s.Name] = true
		assert.NotEmpty(t, s.Title)
		assert.Equal(t, []Scenario{s}[0].Name, Named(s.Name)[0].Name)
	}
	assert.Len(t, Named("1"), 4)
	assert.Empty(t, Named("0"))
}

func TestFramesAreSkipped(t *testing.T) {
	const frames = "+OK\r\n:1\r\n$5\r\nhello\r\n$-1\r\n*2\r\n$1\r\na\r\n*-1\r\n%1\r\n+a\r\n:1\r\n>1\r\n_\r\nOK SUB a\n"
	c := &conn{in: bufio.NewReader(strings.NewReader(frames + "-ERR no\r\nERR no\n"))}
	assert.NoError(t, c.answers(8))
	assert.EqualError(t, c.answers(1), "the server answers -ERR no")
	assert.EqualError(t, c.answers(1), "the server answers ERR no")
}

func TestAStallCountsForThePINGsThatWereNotSent(t *testing.T) {
	p := &Prober{}
	for range 100 {
		p.record(time.Millisecond)
	}
	p.record(time.Second)
	longest, p99 := p.Stall()
	assert.Equal(t, time.Second, longest)
	assert.Greater(t, p99, 900*time.Millisecond)
	p.Reset()
	longest, p99 = p.Stall()
	assert.Zero(t, longest+p99)
}
