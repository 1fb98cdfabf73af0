package command

import (
	"slices"
	"time"
)

// numberTimes knows when messages were published, by their numbers, to a second. It belongs to the core's goroutine.
//
// A message costs a comparison: one entry serves all numbers until the next entry.
type numberTimes struct {
	entries []numberTime
	oldest  int // its index, once there are maxNumberTimes
	last    time.Duration
}

// numberTime means that the message with that number was the first one of its second.
type numberTime struct {
	number uint64
	at     time.Duration // by uptime
}

// maxNumberTimes is how many seconds with messages are known: more than an hour, in 64 KiB.
const maxNumberTimes = 4096

// note records that a message is published. Numbers and times never go back.
func (t *numberTimes) note(number uint64, at time.Duration) {
	if at-t.last < time.Second && len(t.entries) > 0 {
		return
	}
	t.last = at
	if len(t.entries) < maxNumberTimes {
		t.entries = append(t.entries, numberTime{number, at})
		return
	}
	t.entries[t.oldest] = numberTime{number, at}
	t.oldest = (t.oldest + 1) % maxNumberTimes
}

// since is the time since a message was published, -1 if that is not known.
func (t *numberTimes) since(number uint64, now time.Duration) time.Duration {
	newer, older := t.entries[:t.oldest], t.entries[t.oldest:]
	entries := newer
	if len(newer) == 0 || newer[0].number > number {
		entries = older
	}
	i, found := slices.BinarySearchFunc(entries, number, func(e numberTime, number uint64) int {
		switch {
		case e.number < number:
			return -1
		case e.number > number:
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	if number == 0 || i < 0 {
		return -1
	}
	return max(0, now-entries[i].at)
}
