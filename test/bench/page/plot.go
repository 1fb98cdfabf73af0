package page

import (
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Series is what one name stands for in a plot: a value for each place on the x axis, NaN where there is none.
type Series struct {
	Name   string
	Values []float64
}

// Plot has names along the x axis and values on a logarithmic y axis: what is compared differs by orders of magnitude,
// and bars, which start at zero, have no place on such an axis. So values are dots.
type Plot struct {
	Title, X, Y string
	Places      []string
	Series      []Series
	Lines       bool    // join the dots of a series: the places are numbers that grow
	Width       float64 // in inches, 9 when 0
}

// colors are told apart by most who do not tell red from green, too.
var colors = []color.RGBA{
	{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {110, 110, 110, 255},
}

var shapes = []draw.GlyphDrawer{
	draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}, draw.SquareGlyph{},
}

// Save writes the plot as SVG. A plot without any value is an error.
func (p *Plot) Save(file string) error {
	canvas := plot.New()
	canvas.Title.Text, canvas.X.Label.Text, canvas.Y.Label.Text = p.Title, p.X, p.Y
	canvas.Title.Padding = vg.Points(8)
	low, high := p.bounds()
	if low > high {
		return fmt.Errorf("nothing to plot in %s", file)
	}
	canvas.Y.Min, canvas.Y.Max = decades(low, high)
	canvas.Y.Scale, canvas.Y.Tick.Marker = plot.LogScale{}, plot.TickerFunc(ticks)
	canvas.NominalX(p.Places...)
	canvas.X.Min, canvas.X.Max = -0.5, float64(len(p.Places))-0.5
	canvas.X.Max += p.legend()
	if !p.Lines {
		canvas.X.Tick.Label.Rotation = math.Pi / 7
		canvas.X.Tick.Label.XAlign, canvas.X.Tick.Label.YAlign = draw.XRight, draw.YTop
	}
	canvas.Add(plotter.NewGrid())
	for i, s := range p.Series {
		if err := p.add(canvas, s, i); err != nil {
			return err
		}
	}
	canvas.Legend.Top = true
	width := p.Width
	if width == 0 {
		width = 9
	}
	return canvas.Save(vg.Length(width)*vg.Inch, 4.5*vg.Inch, file)
}

// add draws series number i.
func (p *Plot) add(canvas *plot.Plot, s Series, i int) error {
	var at plotter.XYs
	for x, y := range s.Values {
		if y > 0 {
			at = append(at, plotter.XY{X: float64(x), Y: y})
		}
	}
	if len(at) == 0 {
		return nil
	}
	line, dots, err := plotter.NewLinePoints(at)
	if err != nil {
		return err
	}
	line.Color, dots.Color = colors[i%len(colors)], colors[i%len(colors)]
	line.Width, dots.Shape, dots.Radius = vg.Points(1.5), shapes[i%len(shapes)], vg.Points(4)
	if p.Lines {
		canvas.Add(line, dots)
		canvas.Legend.Add(s.Name, line, dots)
		return nil
	}
	canvas.Add(dots)
	canvas.Legend.Add(s.Name, dots)
	return nil
}

// legend is the room for the legend on the right, in places, so that it hides no dot. A letter is about a 120th of the
// width.
func (p *Plot) legend() float64 {
	longest := 0
	for _, s := range p.Series {
		longest = max(longest, len(s.Name))
	}
	share := float64(longest+6) / 120
	return float64(len(p.Places)) * share / (1 - share)
}

func (p *Plot) bounds() (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, s := range p.Series {
		for _, y := range s.Values {
			if y > 0 {
				low, high = min(low, y), max(high, y)
			}
		}
	}
	return low, high
}

// decades widens the bounds to powers of ten, so that equal distances are equal factors in all plots.
func decades(low, high float64) (float64, float64) {
	bottom := math.Pow(10, math.Floor(math.Log10(low)))
	top := math.Pow(10, math.Ceil(math.Log10(high)))
	if bottom == top {
		top *= 10
	}
	return bottom, top
}

// ticks are labeled at 1, 2 and 5 of each decade, in words a reader need not decode.
func ticks(low, high float64) (all []plot.Tick) {
	for decade := low; decade < high*1.001; decade *= 10 {
		for _, step := range []float64{1, 2, 5} {
			if v := decade * step; v < high*1.001 {
				all = append(all, plot.Tick{Value: v, Label: short(v)})
			}
		}
	}
	return all
}

// short is a number as an axis shows it: 2M, 50k, 0.05.
func short(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= unit.size {
			return strconv.FormatFloat(v/unit.size, 'g', 4, 64) + unit.name
		}
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
