// Package uplot has uPlot 1.6.32 (MIT license, uPlot.LICENSE), which draws the plots of conch's pages. A page that has it needs no network.
package uplot

import _ "embed"

// Script defines the global uPlot; Style is its style sheet.
var (
	//go:embed uPlot.iife.min.js
	Script string
	//go:embed uPlot.min.css
	Style string
)
