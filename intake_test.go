package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, c := range []struct {
		input string
		want  []string
	}{
		{"", nil},
		{"\n", []string{""}},
		{"a", []string{"a"}},
		{"a\nb\n", []string{"a", "b"}},
		{"a\r\n\x00\xff\n\n", []string{"a\r", "\x00\xff", ""}},
		{long + "\n" + long, []string{long, long}}, // longer than the buffer
		{long[:16] + "\nb", []string{long[:16], "b"}},
	} {
		from := bufio.NewReaderSize(strings.NewReader(c.input), 16)
		var got []string
		for {
			line, err := readLine(from)
			if err != nil {
				assert.ErrorIs(t, err, io.EOF)
				break
			}
			got = append(got, string(line))
		}
		assert.Equal(t, c.want, got, "%q", c.input)
	}
}

func TestIntakeKnowsTheSizeOfAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lines")
	require.NoError(t, os.WriteFile(name, []byte("one\ntwo\n"), 0o600))
	file, err := os.Open(name)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	in := newIntake(nil, file)
	defer in.stop()
	assert.EqualValues(t, 8, in.size)
	assert.Equal(t, "one", string(<-in.lines))
	assert.Equal(t, "two", string(<-in.lines))
	_, more := <-in.lines
	assert.False(t, more)
	assert.NoError(t, in.err)
	assert.Zero(t, newIntake(nil, strings.NewReader("")).size)
}

func TestMeter(t *testing.T) {
	var out bytes.Buffer
	m := newMeter(&out, 8)
	m.add(4)
	m.end()
	assert.Empty(t, out.String(), "the moment is not over")
	m.after = m.after.Add(-moment)
	m.add(4)
	assert.Contains(t, out.String(), "published")
	m.end()
	assert.EqualValues(t, 8, m.done)

	m = newMeter(&out, 0)
	m.add(4)
	m.add(4)
	assert.EqualValues(t, 2, m.done, "messages, where the size is not known")

	m = nil // nobody is to see one
	m.add(4)
	m.end()
}
