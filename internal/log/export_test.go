package log

import "math/rand/v2"

// What follows is for tests with all of conch over the disk of these tests.

// CrashRuns and CrashSeed are the flags of crashes.
var CrashRuns, CrashSeed = crashRuns, crashSeed

// CrashDisk is Files that lose at a crash what was not synced.
type CrashDisk struct{ *disk }

func NewCrashDisk() CrashDisk { return CrashDisk{newDisk()} }

// StopBehind has the machine go off behind so many calls that change something.
func (d CrashDisk) StopBehind(calls int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopAt = d.steps + calls
}

// PowerOff leaves what the disk happens to have, Kill what the operating system has.
func (d CrashDisk) PowerOff(rng *rand.Rand) { d.powerOff(rng) }
func (d CrashDisk) Kill()                   { d.kill() }
