package soak

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParse(t *testing.T) {
	tests := []struct {
		frame string
		want  event
		kind  kind
	}{
		{"UPDATE a id\r\n", event{topic: "a", id: "id", size: 2}, message},
		{"UPDATE a two words\n", event{topic: "a", id: "two words", size: 9}, message},
		{"UPDATE a bad\n", event{topic: "a", id: "bad"}, corrupt},
		{"MISSED 7 a\n", event{topic: "a", missed: 7}, missing},
		{"MISSED ? a* WHERE size > 1\n", event{topic: "a* WHERE size > 1", missed: unknown}, missing},
		{"UPDATE #12 a two words\n", event{topic: "a", id: "two words", size: 9, sequence: "12"}, message},
		{"UPDATE #12 a\n", event{}, other},
		{">6\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\na\r\n$2\r\nid\r\n:12\r\n:3\r\n", event{topic: "a", id: "id", size: 2, sequence: "12"}, message},
		{">3\r\n$6\r\nmissed\r\n$1\r\n*\r\n_\r\n", event{topic: "*", missed: unknown}, missing},
		{"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nid\r\n", event{topic: "a", id: "id", size: 2}, message},
		{">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\na\r\n$2\r\nid\r\n", event{topic: "a", id: "id", size: 2}, message},
		{">3\r\n$6\r\nmissed\r\n$1\r\n*\r\n:7\r\n", event{topic: "*", missed: 7}, missing},
		{">3\r\n$7\r\nclosing\r\n$9\r\nslow_hard\r\n$4\r\ntext\r\n", event{}, closeNotice},
		{"ERR closing connection: too slow\n", event{}, closeNotice},
		{"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", event{}, other},
		{"OK SUB a\r\n", event{}, other},
		{"+PONG\r\n", event{}, other},
		{"", event{}, other},
	}
	for _, test := range tests {
		e, kind := parse(test.frame, func(p string) (string, bool) { return p, p != "bad" })
		assert.Equal(t, test.want, e, test.frame)
		assert.Equal(t, test.kind, kind, test.frame)
	}
}
