//go:build race

package invariant

// On reports whether the checks run: in builds with the race detector.
const On = true
