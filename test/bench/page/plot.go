package page

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/conchmq/conch/test/bench/median"
)

// Series is one name in a plot: for each place a median and a range, NaN where there is none.
type Series struct {
	Name                string
	Values, lows, highs []float64
}

// Add appends the next place: the median and the range of some values. Without values, the place is empty.
func (s *Series) Add(values []float64) {
	low, high := median.Range(values)
	s.Values, s.lows, s.highs = append(s.Values, median.Of(values)), append(s.lows, low), append(s.highs, high)
}

// Plot has places along one axis and values on the other, which is logarithmic: what is compared differs by orders of
// magnitude, and bars, which start at zero, have no place on such an axis. So values are dots, with a bar from the least
// to the greatest. Places with long names are rows; with Lines, they are numbers that grow, from left to right.
type Plot struct {
	Title, Axis string // Axis is the unit of the values, in words
	Across      string // what the places are
	Places      []string
	Series      []Series
	Lines       bool // join the dots of a series
}

// The size of a plot. The legend has a column of its own, wide enough for other fonts than the one it is laid out with.
const (
	width       = 9.8 * vg.Inch
	legendWidth = 3 * vg.Inch
	lineHeight  = 4.5 * vg.Inch
	rowHeight   = 0.34 * vg.Inch
	aroundRows  = 1.2 * vg.Inch
)

// colors are told apart by most who do not tell red from green, too.
var colors = []color.RGBA{
	{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {110, 110, 110, 255},
}

var shapes = []draw.GlyphDrawer{
	draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}, draw.SquareGlyph{},
}

// Save writes the plot as SVG. A plot without any value is an error.
func (p *Plot) Save(file string) error {
	low, high := p.bounds()
	if low > high {
		return fmt.Errorf("nothing to plot in %s", file)
	}
	canvas := plot.New()
	canvas.Title.Text, canvas.Title.Padding = p.Title, vg.Points(8)
	p.setAxes(canvas, low, high)
	sans(canvas)
	canvas.Add(plotter.NewGrid())
	legend := plot.NewLegend()
	legend.Top, legend.Left, legend.Padding = true, true, vg.Points(6)
	legend.TextStyle.Font.Variant, legend.TextStyle.Font.Size = "Sans", vg.Points(11)
	for i := range p.Series {
		if err := p.add(canvas, &legend, i); err != nil {
			return err
		}
	}
	return p.write(file, canvas, &legend)
}

// write draws the plot and, to the right of it, the legend.
func (p *Plot) write(file string, canvas *plot.Plot, legend *plot.Legend) error {
	height := lineHeight
	if !p.Lines {
		height = aroundRows + rowHeight*vg.Length(len(p.Places))
	}
	svg := vgsvg.New(width, height)
	all := draw.New(svg)
	all.FillPolygon(color.White, []vg.Point{
		{}, {X: width}, {X: width, Y: height}, {Y: height},
	})
	margin := vg.Points(10)
	canvas.Draw(draw.Crop(all, margin, -legendWidth, margin, -margin))
	legend.Draw(draw.Crop(all, width-legendWidth+margin, -margin, margin, -vg.Points(40)))
	var b bytes.Buffer
	if _, err := svg.WriteTo(&b); err != nil {
		return err
	}
	return os.WriteFile(file, fixTexts(b.Bytes()), 0o644)
}

// sans sets the font of everything.
func sans(canvas *plot.Plot) {
	for _, one := range []*font.Font{
		&canvas.Title.TextStyle.Font, &canvas.X.Label.TextStyle.Font, &canvas.Y.Label.TextStyle.Font,
		&canvas.X.Tick.Label.Font, &canvas.Y.Tick.Label.Font,
	} {
		one.Variant = "Sans"
		one.Size = vg.Points(10)
	}
	canvas.Title.TextStyle.Font.Size = vg.Points(12)
}

// setAxes sets the axis of the values, and that of the places.
func (p *Plot) setAxes(canvas *plot.Plot, low, high float64) {
	values, places := &canvas.X, &canvas.Y
	if p.Lines {
		values, places = places, values
	}
	values.Min, values.Max = steps(low, high)
	values.Scale, values.Tick.Marker = plot.LogScale{}, plot.TickerFunc(ticks)
	places.Label.Text = p.Across
	canvas.Title.Text += "\n" + p.Axis + " (logarithmic scale)" // words along a vertical axis are hard to read
	names, longest := plot.ConstantTicks{}, 0
	for _, name := range p.Places {
		longest = max(longest, len(name))
	}
	for i, name := range p.Places {
		if !p.Lines {
			name += strings.Repeat(" ", 2+longest/4) // a wider font needs more room in front of the axis
		}
		names = append(names, plot.Tick{Value: p.place(i), Label: name})
	}
	places.Tick.Marker, places.Tick.Length = names, 0
	places.Min, places.Max = -0.6, float64(len(p.Places))-0.4
	for _, axis := range []*plot.Axis{values, places} {
		axis.Label.Padding = vg.Points(6)
	}
}

// place is where place i stands: rows are read from the top.
func (p *Plot) place(i int) float64 {
	if p.Lines {
		return float64(i)
	}
	return float64(len(p.Places) - 1 - i)
}

func (p *Plot) bounds() (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, s := range p.Series {
		for i, y := range s.Values {
			if y > 0 {
				low, high = min(low, y, s.lows[i]), max(high, y, s.highs[i])
			}
		}
	}
	return low, high
}
