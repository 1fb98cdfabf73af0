package page

import (
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

// fontName is the font of the layout.
const fontName = "Liberation Sans"

// svgText is a text as gonum writes it, with its size and its words.
var svgText = regexp.MustCompile(`(<text )([^>]*font-family:)` + fontName + `([^>]*font-size:([0-9.]+)px">)([^<]*)(</text>)`)

// fixTexts gives each text the width that the layout has reserved for it: viewers without the font take another one,
// whose letters would else run into the plot. Arial and Helvetica have the same widths.
func fixTexts(svg []byte) []byte {
	return svgText.ReplaceAllFunc(svg, func(found []byte) []byte {
		m := svgText.FindSubmatch(found)
		words := strings.TrimSpace(string(m[5]))
		if words == "" {
			return nil
		}
		return fmt.Appendf(nil, `%stextLength="%.1f" lengthAdjust="spacingAndGlyphs" %s'%s',Arial,Helvetica,sans-serif%s%s%s`,
			m[1], textWidth(words, string(m[4])), m[2], fontName, m[3], words, m[6])
	})
}

// textWidth is the width of a text in the layout.
func textWidth(words, size string) float64 {
	points, err := strconv.ParseFloat(size, 64)
	if err != nil {
		return 0 // the pattern lets numbers through alone
	}
	face := font.DefaultCache.Lookup(font.Font{Typeface: "Liberation", Variant: "Sans"}, vg.Length(points))
	return face.Width(html.UnescapeString(words)).Points()
}
