package web

import (
	"slices"
	"strconv"

	"github.com/conchmq/conch/protocol"
)

const (
	// maxListed bounds the streams of one answer.
	maxListed = 500
	// listRounds bounds how often GET /streams scans: a glob may match few of a million streams.
	listRounds = 100
	// describedAtOnce bounds the streams whose commands are in memory together.
	describedAtOnce = 50
)

// getStreams is GET /streams: the names of streams, with what XINFO STREAM has of each, if the user may read that.
func (x *exchange) getStreams() error {
	c, err := x.open()
	if err != nil {
		return err
	}
	x.shown = c
	names, more, err := x.scanNames(c)
	if err != nil {
		return err
	}
	streams := make([]any, 0, len(names))
	for some := range slices.Chunk(names, describedAtOnce) {
		if streams, err = c.describe(streams, some); err != nil {
			return err
		}
	}
	return x.json(object{{"streams", streams}, {"more", more}})
}

// describe appends a row for each stream. All commands go at once, so that they visit the core together.
func (c *conn) describe(rows []any, names [][]byte) ([]any, error) {
	var b []byte
	for _, name := range names {
		b = protocol.AppendBulkString(protocol.AppendBulkString(protocol.AppendArray(b, 3), "XINFO"), "STREAM")
		b = protocol.AppendBulkString(b, string(name))
		b = protocol.AppendBulkString(protocol.AppendBulkString(protocol.AppendArray(b, 3), "MEMORY"), "USAGE")
		b = protocol.AppendBulkString(b, string(name))
	}
	sent := make(chan struct{})
	go func() { // the connection reads no more while many replies wait
		_ = c.write(b) // it fails if the connection ends, and then there are no replies
		close(sent)
	}()
	defer func() { <-sent }()
	for _, name := range names {
		info, err := c.receive()
		if err != nil && c.ended.Err() != nil {
			return nil, err
		}
		row := object{{"stream", name}}
		if o, _ := toJSON(info).(object); err == nil { // it may be gone by now
			row = append(row, field{"length", o.get("length")}, field{"added", o.get("entries-added")}, field{"last_id", o.get("last-generated-id")},
				field{"groups", o.get("groups")})
		}
		size, err := c.receive()
		if err != nil && c.ended.Err() != nil {
			return nil, err
		}
		if err == nil && size != nil {
			row = append(row, field{"bytes", size})
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// scanNames returns the first names that match, in their order.
func (x *exchange) scanNames(c *conn) (names [][]byte, more bool, err error) {
	glob := x.request.URL.Query().Get("match")
	if glob == "" {
		glob = "*"
	}
	for cursor, round := "0", 0; ; round++ {
		reply, err := c.do("SCAN", cursor, "MATCH", glob, "COUNT", strconv.Itoa(maxListed))
		if err != nil {
			return nil, false, err
		}
		parts, _ := reply.([]any)
		next, _ := parts[0].([]byte)
		page, _ := parts[1].([]any)
		for _, name := range page {
			names = append(names, name.([]byte))
		}
		cursor = string(next)
		if more = cursor != "0"; !more || len(names) >= maxListed || round >= listRounds {
			break
		}
	}
	if len(names) > maxListed {
		names, more = names[:maxListed], true
	}
	slices.SortFunc(names, slices.Compare[[]byte])
	return names, more, nil
}
