package page

import (
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// add draws series number i.
func (p *Plot) add(canvas *plot.Plot, legend *plot.Legend, i int) error {
	s := &p.Series[i]
	var at plotter.XYs
	for place, v := range s.Values {
		if !(v > 0) {
			continue
		}
		at = append(at, p.point(place, v))
		if s.lows[place] < s.highs[place] {
			if err := p.addRange(canvas, place, s.lows[place], s.highs[place], colors[i%len(colors)]); err != nil {
				return err
			}
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
		legend.Add(s.Name, line, dots)
		return nil
	}
	canvas.Add(dots)
	legend.Add(s.Name, dots)
	return nil
}

// addRange draws a bar from the least to the greatest value of a place.
func (p *Plot) addRange(canvas *plot.Plot, place int, low, high float64, c color.Color) error {
	bar, err := plotter.NewLine(plotter.XYs{p.point(place, low), p.point(place, high)})
	if err != nil {
		return err
	}
	bar.Color, bar.Width = c, vg.Points(1)
	canvas.Add(bar)
	return nil
}

func (p *Plot) point(place int, v float64) plotter.XY {
	if p.Lines {
		return plotter.XY{X: p.place(place), Y: v}
	}
	return plotter.XY{X: v, Y: p.place(place)}
}

// digitsOfTicks are the labels in a decade.
var digitsOfTicks = []float64{1, 2, 5}

// steps widens the bounds to the next label on either side.
func steps(low, high float64) (bottom, top float64) {
	bottom, top = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
	for _, digit := range digitsOfTicks {
		if v := math.Pow(10, math.Floor(math.Log10(low))) * digit; v <= low {
			bottom = v
		}
		if v := math.Pow(10, math.Ceil(math.Log10(high))) / digit; v >= high {
			top = v
		}
	}
	if bottom == top {
		top *= 10
	}
	return bottom, top
}

// ticks stand at 1, 2 and 5 of each decade. Of more than two decades, those at 2 have no label.
func ticks(low, high float64) (all []plot.Tick) {
	many := high > 100*low
	for decade := math.Pow(10, math.Floor(math.Log10(low*1.001))); decade < high*1.001; decade *= 10 {
		for _, digit := range digitsOfTicks {
			if v := decade * digit; v > low*0.999 && v < high*1.001 {
				tick := plot.Tick{Value: v, Label: short(v)}
				if many && digit == 2 {
					tick.Label = ""
				}
				all = append(all, tick)
			}
		}
	}
	return all
}

// short is a number as an axis shows it: 2 M, 50 k, 0.05.
func short(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, " G"}, {1e6, " M"}, {1e3, " k"}} {
		if v >= unit.size {
			return strconv.FormatFloat(v/unit.size, 'g', 4, 64) + unit.name
		}
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
