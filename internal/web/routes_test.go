package web_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/web"
)

// docs/http.md has the routes, in the order of the table.
func TestRoutesOfTheDocs(t *testing.T) {
	var documented [][]string
	for _, row := range harness.Table(t, "../../docs/http.md", "routes") {
		documented = append(documented, row[:3])
	}
	assert.Equal(t, web.Routes(), documented)
}

// docs/http.md has each status that the package names, and no other.
func TestStatusesOfTheDocs(t *testing.T) {
	numbers := map[string]int{} // StatusNotFound: 404
	for code := range 600 {
		if text := http.StatusText(code); text != "" {
			numbers["Status"+regexp.MustCompile(`\W`).ReplaceAllString(text, "")] = code
		}
	}
	named := map[int]bool{}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range regexp.MustCompile(`http\.(Status\w+)`).FindAllStringSubmatch(string(text), -1) {
			if number, ok := numbers[m[1]]; ok {
				named[number] = true
			}
		}
	}
	documented := map[int]bool{}
	for _, row := range harness.Table(t, "../../docs/http.md", "statuses") {
		for word := range strings.SplitSeq(row[0], ", ") {
			number, err := strconv.Atoi(word)
			require.NoError(t, err)
			documented[number] = true
		}
	}
	assert.Greater(t, len(named), 10)
	assert.Equal(t, named, documented)
}

// A topic comes out of its path as it went in. Any other path gives a topic, or none.
func FuzzRoutes(f *testing.F) {
	for _, text := range []string{"a", "..", "/", "//", "a/b", "%2F", "\xff\x00", "?#", "/topics/%zz", "/topics/a/subscribers", "*", "http://a/topics/b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_ = web.Topic(text)
		if text != "" {
			assert.Equal(t, text, web.Topic("/topics/"+web.EscapeTopic(text)))
		}
	})
}
