package log

// diskLock is a lock that is held while the disk works. A goroutine that waits for a mutex holds up the clock of a test's bubble, and with that
// the slow disk that the owner waits for; one that waits for a channel does not.
type diskLock chan struct{}

func newDiskLock() diskLock { return make(diskLock, 1) }

// Lock waits until no other goroutine has the lock, and takes it.
func (l diskLock) Lock() { l <- struct{}{} }

// Unlock gives it back.
func (l diskLock) Unlock() { <-l }
