package page

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReplace(t *testing.T) {
	tests := []struct{ sentence, document, want, wrong string }{
		{
			"only what stands between the marks changes",
			"a\n<!-- x:begin -->\nold\n\n<!-- x:end -->\nb\n", "a\n<!-- x:begin -->\nnew\n<!-- x:end -->\nb\n", "",
		},
		{
			"nothing between them is fine", "<!-- x:begin -->\n<!-- x:end -->",
			"<!-- x:begin -->\nnew\n<!-- x:end -->", "",
		},
		{
			"other sections stay", "<!-- y:begin -->\n1\n<!-- y:end -->\n<!-- x:begin -->\n2\n<!-- x:end -->\n",
			"<!-- y:begin -->\n1\n<!-- y:end -->\n<!-- x:begin -->\nnew\n<!-- x:end -->\n", "",
		},
		{"no begin", "a\n<!-- x:end -->\n", "", "there is no line <!-- x:begin -->"},
		{"no end", "a\n<!-- x:begin -->\n", "", "no <!-- x:end --> comes after its begin"},
		{"an end before the begin is none", "<!-- x:end -->\n<!-- x:begin -->\n", "", "no <!-- x:end --> comes after"},
		{
			"two of them", "<!-- x:begin -->\n<!-- x:end -->\n<!-- x:begin -->\n<!-- x:end -->\n", "",
			"<!-- x:begin --> is there twice",
		},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			got, err := replace(test.document, "x", "new\n")
			if test.wrong != "" {
				assert.ErrorContains(t, err, test.wrong)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
			again, err := replace(got, "x", "new\n")
			require.NoError(t, err)
			assert.Equal(t, got, again, "writing the same again changes nothing")
		})
	}
}

func TestRewriteLeavesAFileWithoutMarksAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.md")
	require.NoError(t, os.WriteFile(file, []byte("by hand\n"), 0o600))
	assert.ErrorContains(t, Rewrite(file, "x", "new"), "a.md: there is no line")
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "by hand\n", string(got))
}

func TestTable(t *testing.T) {
	assert.Equal(t, "| a | b |\n|---|---|\n| 1 | 2 |\n", Table([]string{"a", "b"}, [][]string{{"1", "2"}}))
}
