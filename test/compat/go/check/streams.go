package check

import (
	"fmt"
	"slices"
)

// Streamer appends to streams and reads them, in the library's own words for it.
type Streamer interface {
	Append(stream, id string, fields ...string) (appended string, err error)
	Range(stream, from, to string) ([]Entry, error)
	// Read waits for what comes after an entry.
	Read(stream, after string) ([]Entry, error)
	Len(stream string) (int64, error)
	Delete(stream string) (int64, error)
}

// Entry is an entry with one field, as "name value".
type Entry struct{ ID, Field string }

// Streams has a library append, read, wait and delete.
func (r *Report) Streams(s Streamer) {
	r.Try("streams", func() error { return streams(s) })
}

func streams(s Streamer) error {
	stream := Topic("stream")
	var all []Entry
	for i := range 3 {
		field := fmt.Sprintf("n %d", i)
		id, err := s.Append(stream, "*", "n", fmt.Sprint(i))
		if err != nil {
			return err
		}
		all = append(all, Entry{ID: id, Field: field})
	}
	if _, err := s.Append(stream, "1-1", "n", "0"); err == nil {
		return fmt.Errorf("an id below the last one was accepted")
	}
	for _, one := range []struct {
		from, to string
		want     []Entry
	}{{"-", "+", all}, {all[1].ID, all[1].ID, all[1:2]}} {
		if got, err := s.Range(stream, one.from, one.to); err != nil || !slices.Equal(got, one.want) {
			return fmt.Errorf("XRANGE %s %s: %v, not %v: %w", one.from, one.to, got, one.want, err)
		}
	}
	if got, err := s.Read(stream, all[0].ID); err != nil || !slices.Equal(got, all[1:]) {
		return fmt.Errorf("XREAD: %v, not %v: %w", got, all[1:], err)
	}
	if err := waiting(s, stream, all[2].ID); err != nil {
		return err
	}
	if n, err := s.Len(stream); err != nil || n != 4 {
		return fmt.Errorf("XLEN: %d, not 4: %w", n, err)
	}
	if n, err := s.Delete(stream); err != nil || n != 1 {
		return fmt.Errorf("DEL: %d, not 1: %w", n, err)
	}
	return nil
}

// waiting reads what is appended while it waits, or a moment before.
func waiting(s Streamer, stream, last string) error {
	type answer struct {
		entries []Entry
		err     error
	}
	read := make(chan answer, 1)
	go func() {
		entries, err := s.Read(stream, last)
		read <- answer{entries, err}
	}()
	id, err := s.Append(stream, "*", "n", "late")
	if err != nil {
		return err
	}
	got := <-read
	if want := (Entry{id, "n late"}); got.err != nil || len(got.entries) != 1 || got.entries[0] != want {
		return fmt.Errorf("XREAD BLOCK: %v, not %v: %w", got.entries, want, got.err)
	}
	return nil
}
