package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// numSizes is how many sizes there are when they vary. It is prime, so that each topic gets all of them.
const numSizes = 61

// layout is what a load's bytes look like. It is made once for a run; all publishers and subscribers read it.
//
// Which topic and which size a message has follows from its publisher and its number. So a subscriber knows each
// frame beforehand, but for the times, and which publisher's message comes next.
type layout struct {
	dialect  Dialect
	topics   []string // all of one length, and so are the heads
	publish  []string // by topic: what a publisher writes before the payload's size
	message  []string // by topic: what a subscriber reads before the payload's size
	sizes    []int    // of the payloads; message n has sizes[n % len(sizes)]
	sizeText []string // by size: its digits and a line end, or nothing in a dialect without
	end      string   // behind the payload
	mark     [8]byte  // of the run, in each stamp
	filler   []byte   // all payloads behind their stamps
}

func newLayout(l *Load) *layout {
	w := &layout{dialect: l.Dialect, end: l.Dialect.lineEnd(), sizes: sizes(l.Size)}
	width := len(strconv.Itoa(l.Topics - 1))
	for i := range l.Topics {
		topic := fmt.Sprintf("bench:%0*d", width, i)
		w.topics = append(w.topics, topic)
		w.publish = append(w.publish, l.Dialect.publishHeader(topic))
		w.message = append(w.message, l.Dialect.messageHeader(topic))
	}
	for _, n := range w.sizes {
		text := ""
		if l.Dialect.sized() {
			text = strconv.Itoa(n) + "\r\n"
		}
		w.sizeText = append(w.sizeText, text)
	}
	if len(w.sizes) == 1 { // then it is part of the head: one comparison less for each message
		for i := range w.topics {
			w.publish[i] += w.sizeText[0]
			w.message[i] += w.sizeText[0]
		}
		w.sizeText[0] = ""
	}
	putWord(w.mark[:], rand.Uint64())
	w.filler = make([]byte, l.Size.Max-stampLen)
	for i := range w.filler {
		w.filler[i] = 'a' + byte(i%26)
	}
	return w
}

// sizes spreads the sizes of a range evenly, in an order that looks like none but is always the same.
func sizes(r Range) []int {
	if r.Min == r.Max {
		return []int{r.Min}
	}
	all := make([]int, numSizes)
	for i := range all {
		all[i] = r.Min + (r.Max-r.Min)*i/(numSizes-1)
	}
	order := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // an order, not a secret
	order.Shuffle(numSizes, func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// topicOf is the topic of a message. Publishers start at topics of their own.
func (w *layout) topicOf(publisher, sequence int) int { return (publisher + sequence) % len(w.topics) }

// meanSize is the average payload, in bytes.
func (w *layout) meanSize() float64 {
	sum := 0
	for _, n := range w.sizes {
		sum += n
	}
	return float64(sum) / float64(len(w.sizes))
}
