package cli

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
			line, err := readLine(from, 100)
			if err != nil {
				assert.ErrorIs(t, err, io.EOF)
				break
			}
			got = append(got, string(line))
		}
		assert.Equal(t, c.want, got, "%q", c.input)
	}
}

// A line that is too long is still there for copyTo, and all after it: not a byte is missing.
func TestLineReaderKeepsLongLines(t *testing.T) {
	long := strings.Repeat("x", 101)
	for _, c := range []struct {
		input string
		lines []string
		raw   string
		count int
	}{
		{"a\n" + long[1:] + "\nb", []string{"a", long[1:], "b"}, "", 0},
		{long + "\n", nil, long + "\n", 1},
		{"a\n" + long, []string{"a"}, long, 1},
		{"\n" + long + "\nb\n\n" + long + "c\nd", []string{""}, long + "\nb\n\n" + long + "c\nd", 5},
		{strings.Repeat(long, 5000) + "\nb\n", nil, strings.Repeat(long, 5000) + "\nb\n", 2},
	} {
		in := newLineReader(&pubOptions{maxLine: 100}, strings.NewReader(c.input))
		var lines []string
		for line := range in.lines {
			lines = append(lines, string(line))
		}
		assert.Equal(t, c.lines, lines)
		assert.Equal(t, c.raw != "", in.err != nil)
		var out bytes.Buffer
		rest := &unackedFile{out: bufio.NewWriter(&out)}
		require.NoError(t, in.copyTo(t.Context(), rest))
		require.NoError(t, rest.out.Flush())
		assert.Equal(t, c.raw, out.String())
		assert.Equal(t, c.count, rest.count)
	}
}

func TestLineReaderKnowsTheSizeOfAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lines")
	require.NoError(t, os.WriteFile(name, []byte("one\ntwo\n"), 0o600))
	file, err := os.Open(name)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	in := newLineReader(&pubOptions{maxLine: maxLineLength}, file)
	defer in.stop()
	assert.EqualValues(t, 8, in.size)
	assert.Equal(t, "one", string(<-in.lines))
	assert.Equal(t, "two", string(<-in.lines))
	_, more := <-in.lines
	assert.False(t, more)
	assert.NoError(t, in.err)
	assert.Zero(t, newLineReader(&pubOptions{}, strings.NewReader("")).size)
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	m := newProgress(&out, 8)
	m.add(4)
	m.end()
	assert.Empty(t, out.String(), "the moment is not over")
	m.after = m.after.Add(-moment)
	m.add(4)
	assert.Contains(t, out.String(), "published")
	m.end()
	assert.EqualValues(t, 8, m.done)

	m = newProgress(&out, 0)
	m.add(4)
	m.add(4)
	assert.EqualValues(t, 2, m.done, "messages, where the size is not known")

	m = nil // no terminal
	m.add(4)
	m.end()
}
