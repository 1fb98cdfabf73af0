//go:build race

package invariant

// On tells whether the checks run: in builds with the race detector.
const On = true
