package faulty

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Tun is a network device whose packets this process reads and writes. It needs root.
type Tun struct {
	*os.File
	Name string
}

// OpenTun makes a device. It goes with its file.
func OpenTun(name string) (*Tun, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the device %s: %w", name, err), unix.Close(fd))
	}
	return &Tun{os.NewFile(uintptr(fd), name), name}, nil
}

// Weather is what becomes of the packets of a link. The zero value forwards them at once, in order.
type Weather struct {
	Delay   time.Duration // of each packet
	Jitter  time.Duration // at most so much more, which is random: packets overtake each other
	Loss    int           // percent of the packets are lost
	Reorder int           // percent of the packets are held for Jitter, all others are not
}

// PacketLink forwards packets between two devices. Its choices depend on the seed.
type PacketLink struct {
	ends [2]*Tun
	runs sync.WaitGroup

	mu                    sync.Mutex
	weather               Weather
	timers                map[*time.Timer]bool // of packets on their way
	random                *rand.Rand
	closed                bool
	forwarded, lost, held int
}

// NewPacketLink begins to forward. The link owns the devices from now on.
func NewPacketLink(a, b *Tun, seed uint64) *PacketLink {
	l := &PacketLink{ends: [2]*Tun{a, b}, timers: map[*time.Timer]bool{}, random: rand.New(rand.NewPCG(seed, 0))}
	l.runs.Go(func() { l.forward(a, b) })
	l.runs.Go(func() { l.forward(b, a) })
	return l
}

// Set changes the weather, for the packets that come from now on.
func (l *PacketLink) Set(w Weather) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.weather = w
}

// Counts returns how many packets were forwarded, lost, and held so that others overtook them.
func (l *PacketLink) Counts() (forwarded, lost, held int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.forwarded, l.lost, l.held
}

func (l *PacketLink) forward(from, to *Tun) {
	packet := make([]byte, 64<<10)
	for {
		n, err := from.Read(packet)
		if err != nil {
			return // it was closed
		}
		wait, ok := l.draw()
		switch {
		case !ok:
		case wait == 0:
			_, _ = to.Write(packet[:n]) // a device that is down loses it
		default:
			l.later(to, append([]byte(nil), packet[:n]...), wait)
		}
	}
}

// draw decides what becomes of a packet: how long it waits, or that it is lost.
func (l *PacketLink) draw() (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.weather
	if l.random.IntN(100) < w.Loss {
		l.lost++
		return 0, false
	}
	l.forwarded++
	wait = w.Delay
	switch {
	case w.Reorder > 0:
		if l.random.IntN(100) < w.Reorder {
			l.held++
			wait += w.Jitter
		}
	case w.Jitter > 0:
		wait += time.Duration(l.random.Int64N(int64(w.Jitter)))
	}
	return wait, true
}

// later writes a packet after a while.
func (l *PacketLink) later(to *Tun, packet []byte, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.runs.Add(1)
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		defer l.runs.Done()
		l.mu.Lock()
		delete(l.timers, timer)
		l.mu.Unlock()
		_, _ = to.Write(packet) // a device that is down loses it
	})
	l.timers[timer] = true
}

// Close removes both devices. What was on its way is lost.
func (l *PacketLink) Close() error {
	l.mu.Lock()
	l.closed = true
	for timer := range l.timers {
		if timer.Stop() {
			l.runs.Done()
		}
	}
	l.mu.Unlock()
	err := errors.Join(l.ends[0].Close(), l.ends[1].Close())
	l.runs.Wait()
	return err
}
