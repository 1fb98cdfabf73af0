package cli

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/client"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden holds a text against a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "../../testdata/" + name
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "go test ./internal/cli -run %s -update writes it anew", t.Name())
}

// Every kind of event in every form: what goes to standard output, and behind it what goes to standard error.
func TestForms(t *testing.T) {
	lost := errors.New("the connection is lost: \x1b[31mEOF")
	events := []client.Event{
		&client.Message{Topic: "news", Payload: []byte("I'm a message!")},
		&client.Message{Topic: "news", Payload: []byte{}},
		&client.Message{Topic: "orders.eu", Pattern: "orders.*", Payload: []byte(`{"price": 120, "html": "<b>&"}`), Sequence: 12, Epoch: "e1"},
		&client.Message{Topic: "orders.eu", Pattern: "orders.* WHERE price > 100", Payload: []byte("x"), Sequence: 15, Previous: 12, Epoch: "e1"},
		&client.Message{Topic: "two words\\", Payload: []byte("forged\nnews line\r\x1b[2J\x00 ü\t.")},
		&client.Message{Topic: "\xff\xfe", Pattern: "\xff*", Payload: []byte("\xc3\x28")},
		&client.Missed{Name: "news", Count: 3},
		&client.Missed{Name: "\xff", After: 3, Before: 9},
		&client.Disconnected{Err: lost},
		&client.Resumed{Err: lost, Epoch: "e1", After: 15},
		&client.Reconnected{Err: lost},
		&client.Reconnected{Err: lost, Epoch: "e1", SameEpoch: true, After: 12, Before: 40},
		&client.Reconnected{Err: lost, Epoch: "e1", SameEpoch: true, After: 40, Before: 40},
		&client.Reconnected{Err: lost, Epoch: "e2", After: 40, Before: 2},
	}
	for name, f := range map[string]outputFormat{
		"lines": {}, "sequences": {sequences: true}, "raw": {raw: true}, "json": {json: true, sequences: true}, "json-without": {json: true},
	} {
		t.Run(name, func(t *testing.T) {
			var out, notes bytes.Buffer
			p := &printer{outputFormat: f, out: bufio.NewWriter(&out), notes: &notes}
			for _, e := range events {
				require.NoError(t, p.print(e))
			}
			require.NoError(t, p.out.Flush())
			golden(t, "sub/"+name+".golden", fmt.Sprintf("%s---\n%s", &out, &notes))
		})
	}
}
