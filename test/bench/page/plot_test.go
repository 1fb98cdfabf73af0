package page

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	placed = regexp.MustCompile(`<text textLength="([0-9.]+)" [^>]*x="([0-9.-]+)"[^>]*>([^<]*)<`)
)

// saved is a plot as SVG.
func saved(t *testing.T, p *Plot) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plot.svg")
	require.NoError(t, p.Save(file))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

// The legend stands to the right of everything else, and in the picture; so does each name in front of the axis.
func TestLegendHasAColumnOfItsOwn(t *testing.T) {
	one, two := Series{Name: "Publisher.PublishBatch, Wait"}, Series{Name: "two"}
	for i := range 3 {
		one.Add([]float64{1e6, 2e6, float64(i+1) * 3e6})
		two.Add(nil)
	}
	for _, lines := range []bool{true, false} {
		svg := saved(t, &Plot{Title: "Title", Axis: "messages per second", Across: "connections", Places: []string{"a", "4 → 1 over 100 topics", "c"}, Series: []Series{one, two}, Lines: lines})
		border := (width - legendWidth).Points()
		names := 0
		for _, m := range placed.FindAllStringSubmatch(svg, -1) {
			length, x := parsed(t, m[1]), parsed(t, m[2])
			if m[3] == one.Name {
				names++
				assert.Greater(t, x, border)
				assert.Less(t, x+1.15*length, width.Points(), "there is room for a wider font")
				continue
			}
			assert.Less(t, x+length, border, m[3])
		}
		assert.Equal(t, 1, names, "a name without values is left out")
		assert.Contains(t, svg, "(logarithmic scale)")
	}
}

func parsed(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err)
	return v
}

func TestNothingToPlot(t *testing.T) {
	assert.ErrorContains(t, (&Plot{Places: []string{"a"}, Series: []Series{{Name: "none"}}}).Save(filepath.Join(t.TempDir(), "x.svg")), "nothing to plot")
}

func TestSteps(t *testing.T) {
	for _, test := range [][4]float64{{1, 1, 1, 10}, {988e3, 6.4e6, 500e3, 10e6}, {90e3, 46e6, 50e3, 50e6}, {0.02, 0.7, 0.02, 1}} {
		low, high := steps(test[0], test[1])
		assert.InEpsilon(t, test[2], low, 1e-9, test)
		assert.InEpsilon(t, test[3], high, 1e-9, test)
	}
}
