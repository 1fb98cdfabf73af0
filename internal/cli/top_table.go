package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/rivo/uniseg"

	"github.com/conchmq/conch/protocol"
)

// What the terminal gets: plain ANSI, so that every terminal of the last decades shows it.
const (
	ansiClear     = "\x1b[2J"
	ansiHome      = "\x1b[H"
	ansiEndOfLine = "\x1b[K"
	ansiBelow     = "\x1b[J"
)

// terminalTop draws each table over the one before.
type terminalTop struct {
	out   io.Writer
	size  func() (width, height int)
	drawn bool
}

func (t *terminalTop) show(s *sample) error {
	width, height := t.size()
	return t.draw(s.table(width, height-1), width) // the last line is the cursor's
}

func (t *terminalTop) fail(err error) error {
	width, _ := t.size()
	return t.draw(err.Error()+"\n", width)
}

func (t *terminalTop) draw(table string, width int) error {
	screen := ansiHome
	if !t.drawn {
		screen = ansiClear + ansiHome
	}
	t.drawn = true
	for line := range strings.Lines(table) {
		screen += cutTo(strings.TrimSuffix(line, "\n"), width) + ansiEndOfLine + "\n"
	}
	_, err := io.WriteString(t.out, screen+ansiBelow)
	return err //nolint:wrapcheck // unlessClosed does
}

// table is a sample as text, of so many lines at most; 0 is no limit. Topics and connections share the lines that are left.
func (s *sample) table(width, height int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "conch %s  up %s  sequence %d  names %d  memory %s\n", s.Version, time.Duration(s.Uptime)*time.Second, s.Sequence, s.Names,
		shortBytes(s.Memory))
	fmt.Fprintf(&b, "connections: %d, blocked %d, ended as too slow %d\n", s.Connections, s.Blocked, s.Lost.Slow)
	if r := s.Rates; r != nil {
		fmt.Fprintf(&b, "a second: published %s  delivered %s  commands %s  in %s  out %s\n", short(r.Published), short(r.Delivered), short(r.Commands),
			shortBytes(int64(r.BytesIn)), shortBytes(int64(r.BytesOut)))
	}
	fmt.Fprintf(&b, "lost: dropped %d  undelivered %d  bytes %s\n", s.Lost.Dropped, s.Lost.Undelivered, shortBytes(s.Lost.Bytes))
	for _, d := range s.Denied {
		fmt.Fprintf(&b, "not shown: %s\n", d)
	}
	topics, slowest, connectors := s.Topics, s.Slowest, s.Connectors
	if height > 0 {
		left := max(height-strings.Count(b.String(), "\n")-4, 0) // two heads, each behind an empty line
		if len(connectors) > 0 {
			connectors = connectors[:min(len(connectors), left/3)]
			left = max(left-len(connectors)-2, 0)
		}
		topics = topics[:min(len(topics), max((left+1)/2, left-len(slowest)))]
		slowest = slowest[:min(len(slowest), left-len(topics))]
	}
	rows := [][]string{{"topic", "a second", "published", "delivered", "queued", "dropped", "filtered", "subscribers", "kind"}}
	for _, t := range topics {
		rows = append(rows, []string{
			cutTo(shown(t.Name), topNameWidth), s.rateText(t.Rate), short(float64(t.Published)), short(float64(t.Delivered)), short(float64(t.Queued)),
			short(float64(t.Dropped)), short(float64(t.Filtered)), short(float64(t.Subscribers)), t.Kind,
		})
	}
	b.WriteByte('\n')
	writeColumns(&b, rows, 1, 8)
	rows = [][]string{{"connection", "backlog", "a second", "delivered", "dropped", "id", "user", "name"}}
	for _, c := range slowest {
		rows = append(rows, []string{
			c.Address, shortBytes(c.Backlog), s.rateText(c.Rate), short(float64(c.Delivered)), short(float64(c.Dropped)), strconv.FormatInt(c.ID, 10),
			shown(c.User), shown(c.Name),
		})
	}
	b.WriteByte('\n')
	writeColumns(&b, rows, 1, 6)
	if len(connectors) > 0 {
		b.WriteByte('\n')
		writeColumns(&b, s.connectorRows(connectors), 1, 7)
	}
	if width > 0 && height > 0 && strings.Count(b.String(), "\n") > height { // a very small terminal
		return strings.Join(strings.SplitAfter(b.String(), "\n")[:height], "")
	}
	return b.String()
}

func (s *sample) rateText(rate float64) string {
	if s.Rates == nil {
		return "-"
	}
	return short(rate)
}

// topNameWidth is the most columns of a topic: what follows is to fit on a terminal of 80.
const topNameWidth = 24

// writeColumns aligns columns. Those of numbers, from one up to another, end at the same column; the others begin there.
func writeColumns(b *strings.Builder, rows [][]string, firstNumber, behindNumbers int) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], uniseg.StringWidth(text))
		}
	}
	for _, row := range rows {
		line := ""
		for i, text := range row {
			space := strings.Repeat(" ", widths[i]-uniseg.StringWidth(text))
			if i >= firstNumber && i < behindNumbers {
				line += space + text + "  "
			} else {
				line += text + space + "  "
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// shown is a name as a terminal may get it: clients choose names, and none may drive the terminal.
func shown(name string) string { return string(protocol.EscapeTopic(nil, []byte(name))) }

// cutTo is the beginning of a line that fits into so many columns.
func cutTo(line string, width int) string {
	if uniseg.StringWidth(line) <= width {
		return line
	}
	cut, used := "", 0
	for g := uniseg.NewGraphemes(line); g.Next() && used+g.Width() < width; used += g.Width() {
		cut += g.Str()
	}
	return cut + "…"
}

// short is a number in few letters.
func short(n float64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2fG", n/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.2fM", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.1fk", n/1e3)
	case n > 0 && n < 10 && n != float64(int(n)):
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.0f", n)
}

func shortBytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 10<<10:
		return fmt.Sprintf("%.0f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
