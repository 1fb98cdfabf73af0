package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// numSizes is the number of different sizes. It is prime, so that each topic gets all of them.
const numSizes = 61

// layout has the constant parts of a load's frames. It is immutable; all publishers and subscribers of a run share it.
//
// Publisher and number of a message determine its topic and size. So a subscriber can compute the next frame of each
// publisher except for the time; only the order between publishers is unknown.
type layout struct {
	dialect  Dialect
	topics   []string // all of one length, and so are the headers
	publish  []string // by topic: the publish command before the payload's size
	message  []string // by topic: the message before the payload's size
	sizes    []int    // of the payloads; message n has sizes[n % len(sizes)]
	sizeText []string // by size: its digits and a line end, or empty for lines
	end      string   // after the payload
	mark     [8]byte  // of the run, part of each stamp
	filler   []byte   // all payloads after their stamps
	stride   int      // a subscriber gets every so many of a publisher's messages: 1, or the topics of a spread load
}

func newLayout(l *Load) *layout {
	w := &layout{dialect: l.Dialect, end: l.Dialect.lineEnd(), sizes: sizes(l.Size), stride: 1}
	if l.Spread {
		w.stride = l.Topics
	}
	width := len(strconv.Itoa(l.Topics - 1))
	for i := range l.Topics {
		topic := fmt.Sprintf("%s%0*d", l.Prefix, width, i)
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
	if len(w.sizes) == 1 { // then it is part of the header: one comparison less for each message
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

// sizes returns sizes spread evenly over a range, in a fixed pseudo-random order.
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

// topicOf is the topic index of a message. Each publisher starts at another topic.
func (w *layout) topicOf(publisher, sequence int) int { return (publisher + sequence) % len(w.topics) }

// firstOf is the number of a publisher's first message for a subscriber.
func (w *layout) firstOf(publisher, subscriber int) int {
	return ((subscriber-publisher)%w.stride + w.stride) % w.stride
}

// countOf is how many of the messages from one number to before another are a subscriber's. It is to get the second one.
func (w *layout) countOf(from, before int64) int64 { return max(0, before-from) / int64(w.stride) }

// missingOf is how many of the messages from one number to before another are a subscriber's. It is to get the first one.
func (w *layout) missingOf(from, before int64) int64 {
	return (max(0, before-from) + int64(w.stride) - 1) / int64(w.stride)
}

// meanSize is the average payload in bytes.
func (w *layout) meanSize() float64 {
	sum := 0
	for _, n := range w.sizes {
		sum += n
	}
	return float64(sum) / float64(len(w.sizes))
}
