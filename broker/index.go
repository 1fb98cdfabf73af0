package broker

import "slices"

// Index holds the predicates on all names at one instant of the core. It is persistent: the core makes a new one for each
// change and hands it to Broker.OnIndex; no old one is written to. Any goroutine may read it, with a Finder.
//
// Its version grows when predicates come, and not when they go: verdicts on predicates that have gone do no harm.
type Index struct {
	version  uint64
	names    [kinds]*trie[[][]Candidate] // by name; that of Pattern stays empty
	patterns *prefixTrie
}

// Patterns hang by their prefix, then by their suffix spelled backwards, then by themselves: see patternIndex, whose rules hold.
type (
	prefixTrie = trie[suffixTrie]
	suffixTrie = trie[globTrie]
	globTrie   = trie[indexedPattern]
)

type indexedPattern struct {
	glob   string
	chunks [][]Candidate
	shape
}

// Candidate is a predicate on a name that a topic reaches.
type Candidate struct {
	Predicate Predicate
	Cost      int // Filter.Cost
	set       *predicateSet
}

// Verdict is the judgement that the predicate gives v for a message. No needs none.
func (c *Candidate) Verdict(v Verdict) Judgement { return Judgement{c.set, v} }

// Version is what [Batch.Version] is to be for a batch judged by this index.
func (x *Index) Version() uint64 { return x.version }

// Empty reports whether no name has a predicate.
func (x *Index) Empty() bool {
	return x.patterns == nil && x.names[Topic] == nil && x.names[Shard] == nil
}

// set makes chunks those of a name. Without any the name goes.
func (x *Index) set(k Kind, name string, chunks [][]Candidate) {
	if k != Pattern {
		value := &chunks
		if len(chunks) == 0 {
			value = nil
		}
		x.names[k] = x.names[k].with(name, value)
		return
	}
	prefix, suffix, s := shapeOf(name)
	backwards := []byte(suffix)
	slices.Reverse(backwards)
	var p *indexedPattern
	if len(chunks) > 0 {
		p = &indexedPattern{name, chunks, s}
	}
	suffixes := x.patterns.find([]byte(prefix))
	globs := suffixes.find(backwards).with(name, p)
	x.patterns = x.patterns.with(prefix, suffixes.with(string(backwards), globs))
}

// Finder looks topics up in indexes. It is one goroutine's, and the zero value is ready.
type Finder struct {
	topic    []byte
	names    int           // found so far
	found    [][]Candidate // on them: of one name the index's own list, of several a copy in room
	room     [][]Candidate
	reversed []byte
	matcher  Matcher
}

// Find returns the predicates on the names that a topic reaches, in chunks, and on how many names they are. The list is read-only,
// and valid until the next call.
func (f *Finder) Find(x *Index, k Kind, topic []byte) (found [][]Candidate, names int) {
	f.topic, f.names, f.found, f.reversed = topic, 0, nil, f.reversed[:0]
	if own := x.names[k].find(topic); own != nil {
		f.add(*own)
	}
	if k != Topic {
		return f.found, f.names
	}
	for n, rest := x.patterns.enter(topic); n != nil; n, rest = n.down(rest) {
		if n.value == nil {
			continue
		}
		if len(f.reversed) == 0 { // reversed once, for the first prefix
			f.reversed = append(f.reversed, topic...)
			slices.Reverse(f.reversed)
		}
		for s, before := n.value.enter(f.reversed[:len(rest)]); s != nil; s, before = s.down(before) { // not into the prefix
			f.addMatches(s.value)
		}
	}
	return f.found, f.names
}

// addMatches adds the patterns of a prefix and a suffix that the topic has: see patternIndex.
func (f *Finder) addMatches(t *globTrie) {
	if t == nil {
		return
	}
	if p := t.value; p != nil && p.matches(f.topic, &f.matcher) {
		f.add(p.chunks)
	}
	for _, child := range t.children {
		f.addMatches(child)
	}
}

func (p *indexedPattern) matches(topic []byte, m *Matcher) bool {
	return len(topic) >= p.minLen && (!p.literal || len(topic) == p.minLen) && (!p.needsMatch || m.Match(p.glob, topic))
}

func (f *Finder) add(chunks [][]Candidate) {
	if f.names++; f.names == 1 {
		f.found = chunks
		return
	}
	if f.names == 2 {
		f.room = append(f.room[:0], f.found...)
	}
	f.room = append(f.room, chunks...)
	f.found = f.room
}
