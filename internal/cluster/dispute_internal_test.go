package cluster

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhichChainIsRight(t *testing.T) {
	x, y, z := mark{1, 1}, mark{1, 2}, mark{1, 3}
	for _, c := range []struct {
		what         string
		voters       []string
		reports      map[string]mark
		majority, at mark // nothing is none
	}{
		{"all but one", []string{"a", "b", "c"}, map[string]mark{"a": x, "b": y, "c": y}, y, y},
		{"the one that disputes is wrong", []string{"a", "b", "c"}, map[string]mark{"a": x, "b": y, "c": x}, x, x},
		{"one is away", []string{"a", "b", "c"}, map[string]mark{"a": x, "b": y}, mark{}, x},
		{"two are away", []string{"a", "b", "c", "d", "e"}, map[string]mark{"a": x, "b": y, "c": y}, mark{}, y},
		{"halves", []string{"a", "b", "c", "d"}, map[string]mark{"a": x, "b": y, "c": y, "d": x}, mark{}, x},
		{"all differ", []string{"a", "b", "c"}, map[string]mark{"a": x, "b": y, "c": z}, mark{}, mark{}},
		{"no voter", []string{"a", "b", "c"}, map[string]mark{"a": x, "z": y, "y": y}, mark{}, x},
	} {
		t.Run(c.what, func(t *testing.T) {
			d := dispute{at: 7, opener: "b", reports: c.reports}
			right, ok := d.majority(c.voters)
			assert.Equal(t, c.majority, right)
			assert.Equal(t, c.majority != mark{}, ok)
			right, ok = d.most(c.voters)
			if assert.Equal(t, c.at != mark{}, ok) && ok {
				assert.Equal(t, c.at, right)
			}
		})
	}
}

func TestEntriesOfADispute(t *testing.T) {
	r := report{7, mark{5, 1 << 60}, "a"}
	back, err := decodeReport(r.encode())
	require.NoError(t, err)
	assert.Equal(t, r, back)
	at, err := decodeClose(encodeClose(7))
	require.NoError(t, err)
	assert.Equal(t, uint64(7), at)
	for _, data := range [][]byte{r.encode()[:24], append(r.encode(), make([]byte, maxName)...)} {
		_, err := decodeReport(data)
		assert.ErrorIs(t, err, errEntry)
	}
	_, err = decodeClose([]byte{kindClose})
	assert.ErrorIs(t, err, errEntry)
}
