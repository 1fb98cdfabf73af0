package config

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMachineMemory(t *testing.T) {
	for _, test := range []struct {
		sentence string
		files    map[string]string
		want     int64
	}{
		{"what the machine has", map[string]string{"/proc/meminfo": "MemTotal:  1024 kB\nMemFree: 1 kB\n"}, 1 << 20},
		{"what its control group may have", map[string]string{
			"/proc/meminfo": "MemTotal: 1024 kB\n", "/sys/fs/cgroup/memory.max": "4096\n",
		}, 4096},
		{"a control group without a limit", map[string]string{
			"/proc/meminfo": "MemTotal: 1024 kB\n", "/sys/fs/cgroup/memory.max": "max\n",
		}, 1 << 20},
		{"the older sort of group", map[string]string{
			"/proc/meminfo": "MemTotal: 1024 kB\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes": "2048\n",
		}, 2048},
		{"nobody knows", nil, 0},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			got := machineMemory(func(name string) ([]byte, error) {
				text, ok := test.files[name]
				if !ok {
					return nil, os.ErrNotExist
				}
				return []byte(text), nil
			})
			assert.Equal(t, test.want, got)
		})
	}
}

func TestMaxMemory(t *testing.T) {
	var s Config
	require.NoError(t, setMaxMemory(&s, "64MiB"))
	assert.EqualValues(t, 64<<20, s.Server.MaxMemory)
	require.NoError(t, setMaxMemory(&s, "AUTO"))
	assert.Equal(t, machineMemory(os.ReadFile)/2, s.Server.MaxMemory)
	assert.ErrorContains(t, setMaxMemory(&s, "much"), "or auto")
}
