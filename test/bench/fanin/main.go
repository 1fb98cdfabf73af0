// Command fanin measures ways to bring items from many goroutines to one, and writes the figures as a table and a plot.
//
// It is where a choice of conch comes from: many connections feed one core, and the core feeds each connection. The
// same benchmarks run as go test -bench . ./fanin.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/conchmq/conch/test/bench/median"
	"github.com/conchmq/conch/test/bench/page"
)

func main() {
	rounds := flag.Int("rounds", 5, "how often everything is measured; the medians are shown")
	doc := flag.String("doc", "", "the document to write table and plot into, e.g. ../../docs/performance.md")
	testing.Init() // benchmarks take their duration from its flags
	flag.Parse()
	table := measure(*rounds)
	fmt.Fprint(os.Stdout, table.markdown())
	if *doc == "" {
		return
	}
	if err := table.write(*doc); err != nil {
		fmt.Fprintln(os.Stderr, "fanin:", err)
		os.Exit(1)
	}
}

// figures are nanoseconds for an item, by way and by number of producers, and the allocations of the worst case.
type figures struct {
	nanoseconds [][]float64
	allocations []float64
}

// measure runs everything in turn, round by round, so that a disturbance of the machine meets all ways alike.
func measure(rounds int) *figures {
	all := make([][][]float64, len(ways))
	f := &figures{allocations: make([]float64, len(ways))}
	for range rounds {
		for w, way := range ways {
			all[w] = append(all[w], make([]float64, len(producers)))
			for p, n := range producers {
				fmt.Fprintf(os.Stderr, "%s, %d producers\n", way.name, n)
				r := testing.Benchmark(func(b *testing.B) { way.benchmark(b, n) })
				all[w][len(all[w])-1][p] = float64(r.T.Nanoseconds()) / float64(r.N)
				f.allocations[w] = max(f.allocations[w], float64(r.MemAllocs)/float64(r.N))
			}
		}
	}
	for w := range ways {
		medians := make([]float64, len(producers))
		for p := range producers {
			var values []float64
			for _, round := range all[w] {
				values = append(values, round[p])
			}
			medians[p] = median.Of(values)
		}
		f.nanoseconds = append(f.nanoseconds, medians)
	}
	return f
}

func (f *figures) markdown() string {
	head := []string{"ns for an item; producers:"}
	head = append(head, places()...)
	head = append(head, "allocations for an item, at most")
	var rows [][]string
	for w, way := range ways {
		row := []string{way.name}
		for _, ns := range f.nanoseconds[w] {
			row = append(row, strconv.FormatFloat(ns, 'f', 1, 64))
		}
		rows = append(rows, append(row, strconv.FormatFloat(f.allocations[w], 'f', 3, 64)))
	}
	return page.Table(head, rows)
}

func (f *figures) write(doc string) error {
	plots := filepath.Join(filepath.Dir(doc), "performance")
	if err := os.MkdirAll(plots, 0o755); err != nil {
		return err
	}
	p := page.Plot{
		Title: "Many producers, one consumer: less is better", Axis: "nanoseconds per item", Across: "producers",
		Places: places(), Lines: true,
	}
	for w, way := range ways {
		one := page.Series{Name: way.name}
		for _, v := range f.nanoseconds[w] {
			one.Add([]float64{v})
		}
		p.Series = append(p.Series, one)
	}
	if err := p.Save(filepath.Join(plots, "fan-in.svg")); err != nil {
		return err
	}
	return page.Rewrite(doc, "fan-in", f.markdown()+"\n![nanoseconds for an item](performance/fan-in.svg)\n")
}

func places() (names []string) {
	for _, n := range producers {
		names = append(names, strconv.Itoa(n))
	}
	return names
}
