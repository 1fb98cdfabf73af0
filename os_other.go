//go:build !unix

package main

import "os"

// talkSignal does not exist here: CONFIG SET loglevel does the same.
var talkSignal os.Signal

var handledSignals = []os.Signal{os.Interrupt}

func ignoreBrokenPipes() {}

func descriptorLimit() (limit uint64, known bool) { return 0, false }
