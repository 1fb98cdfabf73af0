package stream

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Ranges and parts of checkpoints are read by other goroutines while the core goes on. This shows under the race detector.
func TestOthersReadWhileTheCoreChanges(t *testing.T) {
	r := random(t)
	k := newCore(t)
	var readers sync.WaitGroup
	var checkpoint *Checkpoint
	for i := range 60_000 {
		k.add("a", fmt.Sprint(i+1), unique("p", fmt.Sprint(i)))
		if i%3 == 0 {
			k.s.PlanDelete(k.change(), k.get("a"), []ID{{uint64(r.IntN(i+1) + 1), 0}})
			k.apply()
		}
		if i%20_000 == 19_999 {
			k.s.PlanTrim(k.change(), k.get("a"), &TrimOptions{Kind: TrimMaxLen, MaxLen: 12_000})
			k.apply()
		}
		k.payload = nil
		switch r.IntN(300) {
		case 0:
			readers.Add(1)
			all, reverse := k.get("a").Range(MinID, MaxID, 0, false), k.get("a").Range(MinID, MaxID, 500, true)
			go func() {
				defer readers.Done()
				n := 0
				all.Each(func(ordinal uint64, _ ID) bool {
					if !all.Live(ordinal) {
						t.Error("it is not alive")
					}
					n++
					return true
				})
				if n != all.Len() {
					t.Error("another length", n, all.Len())
				}
				reverse.Each(func(uint64, ID) bool { return true })
			}()
		case 1:
			if checkpoint == nil {
				checkpoint = k.s.Freeze(false)
			}
			part, done := checkpoint.Collect(1, nil)
			readers.Add(1)
			go func() {
				defer readers.Done()
				if _, err := part.WriteTo(new(bytes.Buffer)); err != nil {
					t.Error(err)
				}
			}()
			if done {
				checkpoint.Saved()
				checkpoint = nil
			}
		}
	}
	readers.Wait()
	require.Positive(t, k.get("a").Len())
}
