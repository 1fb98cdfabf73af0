package store

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fileAhead is one file of those that are read ahead.
type fileAhead struct {
	ahead *readingAhead
	place int
}

func (f fileAhead) Read(p []byte) (int, error) { return f.ahead.read(f.place, p) }

// largeFile is longer than all buffers together.
func largeFile(b byte) []byte { return bytes.Repeat([]byte{b}, aheadCount*aheadSize+10) }

func TestFilesThatAreReadAheadAreThoseThatAre(t *testing.T) {
	files := [][]byte{largeFile('a'), {}, []byte("b"), largeFile('c'), {}}
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "in pieces": iotest.HalfReader, "with the end": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			var readers []io.Reader
			for _, f := range files {
				readers = append(readers, wrap(bytes.NewReader(f)))
			}
			a := readAhead(readers)
			defer a.stop()
			for i, want := range files {
				got, err := io.ReadAll(fileAhead{a, i})
				require.NoError(t, err)
				assert.True(t, bytes.Equal(want, got), "file %d", i)
			}
			_, err := fileAhead{a, 0}.Read(make([]byte, 1))
			assert.ErrorIs(t, err, io.EOF, "one that is over stays so")
		})
	}
}

// A state that is read ends before its file does.
func TestWhatIsLeftOfAFileIsSkipped(t *testing.T) {
	a := readAhead([]io.Reader{bytes.NewReader(largeFile('a')), bytes.NewReader(largeFile('b')), bytes.NewReader([]byte("c"))})
	defer a.stop()
	b := make([]byte, 1)
	for i, want := range []string{"a", "b", "c"} {
		_, err := io.ReadFull(fileAhead{a, i}, b)
		require.NoError(t, err)
		assert.Equal(t, want, string(b))
	}
}

func TestAnErrorOfAFileThatIsReadAheadStays(t *testing.T) {
	broken := errors.New("broken")
	a := readAhead([]io.Reader{io.MultiReader(bytes.NewReader([]byte("a")), iotest.ErrReader(broken)), bytes.NewReader([]byte("b"))})
	defer a.stop()
	got, err := io.ReadAll(fileAhead{a, 0})
	assert.Equal(t, "a", string(got))
	assert.ErrorIs(t, err, broken)
	_, err = fileAhead{a, 1}.Read(make([]byte, 1))
	assert.ErrorIs(t, err, broken, "nothing is known of the files behind it")
}

func TestReadingAheadStopsBeforeTheEnd(t *testing.T) {
	a := readAhead([]io.Reader{bytes.NewReader(largeFile('a'))})
	a.stop()
	_, more := <-a.filled
	assert.False(t, more, "its goroutine has ended")
}
