package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/conchmq/conch/internal/store"
	"github.com/conchmq/conch/internal/stream"
)

// The words of fsync, and the bounds of a time.
const (
	fsyncAlways = "always"
	fsyncNo     = "no"
	minFsync    = time.Millisecond
	maxFsync    = time.Hour
)

// setFsync reads when the log is synced.
func setFsync(c *Config, text string) error {
	switch strings.ToLower(text) {
	case fsyncAlways:
		c.Store.Fsync = store.FsyncAlways
		return nil
	case fsyncNo:
		c.Store.Fsync = store.FsyncNo
		return nil
	}
	d, err := ParseDuration(text)
	if err != nil || d < minFsync || d > maxFsync {
		return fmt.Errorf("expected %s, %s, or a time such as 1s, from 1ms to 1h, not %q", fsyncAlways, fsyncNo, text)
	}
	c.Store.Fsync = store.Fsync(d)
	return nil
}

func setCompress(c *Config, text string) (err error) {
	c.Store.Compress, err = store.ParseCompression(text)
	return err
}

func fsync(c *Config) any {
	switch c.Store.Fsync {
	case store.FsyncAlways:
		return fsyncAlways
	case store.FsyncNo:
		return fsyncNo
	}
	return time.Duration(c.Store.Fsync).String()
}

// setStreamMemory reads a size; auto follows max-memory.
func setStreamMemory(c *Config, text string) error {
	c.Store.Memory, c.autoStreamMemory = 0, strings.EqualFold(text, auto)
	if c.autoStreamMemory {
		return nil
	}
	n, err := ParseSize(text)
	if err != nil {
		return fmt.Errorf("%w, or %s", err, auto)
	}
	c.Store.Memory = int64(n)
	return nil
}

// minCompactRate keeps a segment from taking days.
const minCompactRate = 64 << 10

// setCompactRate reads a size; 0 is no bound.
func setCompactRate(c *Config, text string) (err error) {
	if c.Store.CompactRate = 0; text == "0" {
		return nil
	}
	if c.Store.CompactRate, err = ParseSize(text); err != nil || c.Store.CompactRate < minCompactRate {
		return fmt.Errorf("expected 0 for no bound, or a size from 64KiB on, not %q", text)
	}
	return nil
}

// streamSetting makes a setting that is state of the streams: a directory keeps it.
func streamSetting(name, value, fallback, usage string) Setting {
	check := stream.FindSetting(name).Check
	return Setting{
		Name: name, Value: value, Default: fallback, Usage: usage, IsState: true,
		set: func(c *Config, text string) error {
			plain, err := check(text)
			if c.streamSettings == nil {
				c.streamSettings = make(map[string]string)
			}
			c.streamSettings[name] = plain
			return err
		},
		Get: func(c *Config) any { return c.streamSettings[name] },
	}
}

// givenStreamSettings are the settings of streams that have a source. A default must not overrule what a directory keeps.
func (c *Config) givenStreamSettings(byDefault map[string]bool) (given []store.Setting) {
	for _, s := range stream.Settings() {
		if !byDefault[s.Name] {
			given = append(given, store.Setting{Name: s.Name, Text: c.streamSettings[s.Name]})
		}
	}
	return given
}

// retention may be tables of the file, and durable a list.
const (
	retention = "retention"
	durable   = "durable"
)

// checkStore refuses settings that do not go together. A setting of fsync without effect is refused, because its author expects
// that streams survive.
func (c *Config) checkStore(fsyncByDefault bool) error {
	switch {
	case c.Store.Dir == "" && !fsyncByDefault:
		return errors.New("fsync has no effect without dir: streams are in memory, and gone at the end; name a directory by --dir")
	case c.Store.Dir == "" && (c.Store.Compress != 0 || c.Store.KeyFile != "" || c.Store.OldKeyFile != ""):
		return errors.New("compress and encrypt-key-file have no effect without dir: streams are in memory; name a directory by --dir")
	case c.Store.SegmentSize < store.MinSegmentSize || c.Store.SegmentSize > store.MaxSegmentSize:
		return fmt.Errorf("segment-size is %d bytes: expected %d to %d", c.Store.SegmentSize, store.MinSegmentSize, store.MaxSegmentSize)
	}
	return nil
}
