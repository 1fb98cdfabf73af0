package web

import (
	"slices"
	"strconv"
)

const (
	// maxListed bounds the streams of one answer.
	maxListed = 500
	// listRounds bounds how often GET /streams scans: a glob may match few of a million streams.
	listRounds = 100
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
	for _, name := range names {
		row := object{{"stream", name}}
		if info, err := c.do("XINFO", "STREAM", string(name)); err == nil { // it may be gone by now
			o, _ := toJSON(info).(object)
			row = append(row, field{"length", o.get("length")}, field{"added", o.get("entries-added")}, field{"last_id", o.get("last-generated-id")},
				field{"groups", o.get("groups")})
		} else if c.ended.Err() != nil {
			return err
		}
		streams = append(streams, row)
	}
	return x.json(object{{"streams", streams}, {"more", more}})
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
