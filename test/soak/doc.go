// Package soak runs the real binary under load and faults for minutes on end: publishers and subscribers that hold it to
// its one order, and around them all that can go wrong. See make soak. What is here without a build tag judges and
// reports, and is tested by itself; the run has the tag soak.
package soak
