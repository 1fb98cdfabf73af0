package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/invariant"
	"github.com/conchmq/conch/internal/testseed"
)

// allLayers are the settings of the tests, beside none.
var allLayers = []struct {
	name   string
	layers Layers
}{
	{"s2", Layers{Compress: CompressS2}},
	{"zstd", Layers{Compress: CompressZstd}},
	{"encrypted", Layers{Key: keyOf(1)}},
	{"zstd and encrypted", Layers{Compress: CompressZstd, Key: keyOf(1)}},
}

// writeLayered is writeLog with layers.
func writeLayered(t *testing.T, rng *rand.Rand, layers Layers, records int, groups bool) (image, []Record) {
	t.Helper()
	d := newDisk()
	l, _, err := Open(Options{Files: WithLayers(d, layers), Fsync: Always, SegmentSize: 1024}, 0, nil)
	require.NoError(t, err)
	require.NoError(t, l.Begin(1, 0))
	var model []Record
	for n := range records {
		r := Record{Number: uint64(n + 1), Kind: byte(rng.IntN(MaxKind))}
		r.Payload = append(payload(rng, 1, r.Number, 40), bytes.Repeat([]byte("x"), rng.IntN(200))...)
		l.Append(r.Kind, r.Payload)
		model = append(model, r)
		if groups {
			require.NoError(t, l.Sync())
		}
	}
	require.NoError(t, l.Close())
	return d.image(), model
}

// image is the content of a disk.
func (d *disk) image() image {
	files := image{}
	for name, f := range d.names {
		files[name] = slices.Clone(f.current)
	}
	return files
}

// everyNth is how many of the bytes that a test damages it tries: all of them, but under the race detector, which is ten times slower and looks
// for something else.
var everyNth = func() int {
	if invariant.On {
		return 7
	}
	return 1
}()

// reopenLayered opens a log with layers, and closes it.
func reopenLayered(t *testing.T, files image, layers Layers, what string) ([]Record, Recovery, *disk) {
	t.Helper()
	d := files.disk()
	var found []Record
	l, recovery, err := Open(Options{Files: WithLayers(d, layers), Fsync: Always, SegmentSize: 1024}, 0, collect(&found))
	require.NoError(t, err, what)
	require.NoError(t, l.Close(), what)
	return found, recovery, d
}

// A bit of each byte is flipped, with compression and encryption: what is lost is reported, and all else is served.
func TestFlippedBitsWithLayers(t *testing.T) {
	for _, test := range allLayers {
		t.Run(test.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(11, 11))
			files, model := writeLayered(t, rng, test.layers, 20, true)
			reported := 0
			for name, content := range files {
				used, err := usedEnd(bytes.NewReader(content), 0, int64(len(content)))
				require.NoError(t, err)
				for at := 0; at < int(used); at += everyNth {
					damaged := image{}
					for name, content := range files {
						damaged[name] = content
					}
					damaged[name] = slices.Clone(content)
					damaged[name][at] ^= 1 << rng.IntN(8)
					what := fmt.Sprintf("%s at %d", name, at)
					found, recovery, d := reopenLayered(t, damaged, test.layers, what)
					requireRest(t, model, found, recovery, name, what)
					if len(recovery.Damages) > 0 {
						reported++
					}
					again, _, _ := reopenLayered(t, d.image(), test.layers, what)
					require.Equal(t, found, again, what)
				}
			}
			assert.Greater(t, reported, 500/everyNth)
		})
	}
}

// requireRest requires that one record at most is lost, and reported in the file, and that all others were found.
func requireRest(t *testing.T, model, found []Record, recovery Recovery, name, what string) {
	t.Helper()
	lost := map[uint64]bool{}
	for _, damage := range recovery.Damages {
		require.Equal(t, name, damage.File, what)
		for n := damage.First; n <= damage.Last; n++ {
			lost[n] = true
		}
	}
	require.LessOrEqual(t, len(lost), 1, "%s: %v", what, recovery.Damages)
	rest := slices.DeleteFunc(slices.Clone(model), func(r Record) bool { return lost[r.Number] })
	require.Equal(t, rest, found, what)
}

// The last segment is cut at every byte, and nothing, zeros or noise follow: whole records are left, in order, and no other.
func TestCutAtEveryByteWithLayers(t *testing.T) {
	for _, test := range allLayers {
		t.Run(test.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(12, 12))
			files, model := writeLayered(t, rng, test.layers, 25, true)
			all := names(files)
			last := all[len(all)-1]
			noise := make([]byte, 300)
			for i := range noise {
				noise[i] = byte(rng.Uint32())
			}
			before := [3]int{} // what was left at the cut before, by what follows
			for cut := 0; cut < len(files[last]); cut += everyNth {
				for i, behind := range [][]byte{nil, make([]byte, 300), noise} {
					damaged := image{}
					for name, content := range files {
						damaged[name] = content
					}
					damaged[last] = append(slices.Clone(files[last][:cut]), behind...)
					what := fmt.Sprintf("cut at %d, %d", cut, i)
					found, recovery, d := reopenLayered(t, damaged, test.layers, what)
					require.Empty(t, recovery.Damages, what)
					require.GreaterOrEqual(t, len(found), before[i], what)
					require.Equal(t, model[:len(found)], found, what)
					before[i] = len(found)
					l, recovery, err := Open(Options{Files: WithLayers(d, test.layers), SegmentSize: 1024}, 0, ignoreRecord)
					require.NoError(t, err, what)
					require.True(t, recovery.Clean, what)
					require.EqualValues(t, len(found)+1, l.Append(1, nil), what)
					require.NoError(t, l.Close(), what)
				}
			}
			assert.Len(t, model, before[0])
		})
	}
}

func ignoreRecord(Record) error { return nil }

// A client writes what looks like frames into a payload. None is taken for one when a search behind a broken frame goes past them.
func TestFakeFramesInAPayload(t *testing.T) {
	var fake []byte
	for n := range 500 {
		h := frameHeader{stored: 40, length: 40, offset: int64(2000 + n)}
		frame := make([]byte, frameHeaderSize, frameHeaderSize+40)
		h.put(frame, 0)
		fake = append(append(fake, frame...), make([]byte, 40)...)
	}
	for i := range fake {
		if fake[i] == 0 {
			fake[i] = byte(i * 7) // else it would be compressed
		}
	}
	d := newDisk()
	l, _, err := Open(Options{Files: WithLayers(d, Layers{Compress: CompressS2}), Fsync: Always, SegmentSize: 256 << 10}, 0, nil)
	require.NoError(t, err)
	l.Append(1, []byte("one"))
	require.NoError(t, l.Sync())
	l.Append(1, fake)
	require.NoError(t, l.Sync())
	l.Append(1, []byte("three"))
	require.NoError(t, l.Sync())
	files := d.image()
	require.NoError(t, l.Close())
	content := files[segmentName(1)]
	at := bytes.Index(content, fake[:20])
	require.Positive(t, at)
	content[at-headerSize-3] ^= 1 // the header of its frame
	found, recovery, _ := reopenLayered(t, files, Layers{Compress: CompressS2}, "")
	require.Len(t, found, 2)
	assert.Equal(t, "three", string(found[1].Payload))
	assert.Len(t, recovery.Damages, 1)
}

// Files are opened with the key that they have, and with no other. Each error is one line that names a file and what to do.
func TestKeysOfFiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 13))
	files, model := writeLayered(t, rng, Layers{Key: keyOf(1)}, 10, false)
	tests := []struct {
		name   string
		layers Layers
		err    string
	}{
		{"its own", Layers{Key: keyOf(1)}, ""},
		{"as a former one", Layers{Key: keyOf(2), OldKeys: []*Key{keyOf(1)}}, ""},
		{"another", Layers{Key: keyOf(2)}, "00000000000000000001.log is encrypted with another key than the one in --encrypt-key-file; a former key is named by --encrypt-old-key-file"},
		{"another, and another former one", Layers{Key: keyOf(2), OldKeys: []*Key{keyOf(3)}}, "encrypted with another key"},
		{"none", Layers{}, "00000000000000000001.log is encrypted; name its key by --encrypt-key-file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := files.disk()
			var found []Record
			l, _, err := Open(Options{Files: WithLayers(d, test.layers), SegmentSize: 1024}, 0, collect(&found))
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				assert.NotContains(t, err.Error(), "\n")
				assert.Equal(t, files, d.image(), "nothing is changed")
				return
			}
			require.NoError(t, err)
			require.NoError(t, l.Close())
			assert.Equal(t, model, found)
		})
	}
}

// Nothing that was appended can be read in the files, and the order of streams neither; without encryption it can.
func TestFilesAreEncrypted(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		d := newDisk()
		layers := Layers{}
		if encrypted {
			layers.Key = keyOf(1)
		}
		files := WithLayers(d, layers)
		l, _, err := Open(Options{Files: files, Fsync: Always}, 0, nil)
		require.NoError(t, err)
		l.Append(1, []byte("a secret of a client"))
		require.NoError(t, Replace(files, "checkpoint", func(w io.Writer) error {
			_, err := w.Write([]byte("a secret of a stream"))
			return err
		}))
		require.NoError(t, l.Close())
		for _, secret := range []string{"a secret of a client", "a secret of a stream"} {
			found := false
			for _, content := range d.image() {
				found = found || bytes.Contains(content, []byte(secret))
			}
			assert.Equal(t, !encrypted, found, secret)
		}
	}
}

// rotation is a log that is written again with another key.
func rotation(t *testing.T, d *disk, before, after Layers) (*Log, *Layered, []Record) {
	t.Helper()
	rng := rand.New(rand.NewPCG(14, 14))
	o := Options{Files: WithLayers(d, before), Fsync: Always, SegmentSize: 1024}
	l, _, err := Open(o, 0, nil)
	require.NoError(t, err)
	var model []Record
	for n := range 60 {
		r := Record{Number: uint64(n + 1), Kind: 1, Payload: payload(rng, 1, uint64(n+1), 80)}
		l.Append(r.Kind, r.Payload)
		model = append(model, r)
	}
	require.NoError(t, l.Close())
	layered := WithLayers(d, after)
	o.Files = layered
	var found []Record
	l, _, err = Open(o, 0, collect(&found))
	require.NoError(t, err)
	require.Equal(t, model, found)
	require.NoError(t, l.Begin(2, 0))
	return l, layered, model
}

// With another key, or with one for the first time, segments are written again until no file has the old one. Then it is not needed.
func TestRotation(t *testing.T) {
	tests := []struct {
		name          string
		before, after Layers
	}{
		{"another key", Layers{Key: keyOf(1)}, Layers{Key: keyOf(2), OldKeys: []*Key{keyOf(1)}}},
		{"a first key", Layers{}, Layers{Key: keyOf(2)}},
		{"a first key, and compression", Layers{Compress: CompressS2}, Layers{Compress: CompressZstd, Key: keyOf(2)}},
		{"no key any more", Layers{Key: keyOf(1)}, Layers{OldKeys: []*Key{keyOf(1)}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDisk()
			l, layered, model := rotation(t, d, test.before, test.after)
			require.Positive(t, layered.Status().Waiting)
			l.Append(1, []byte("one more")) // it begins a segment: the last one has the old key
			require.NoError(t, l.Sync())
			require.NoError(t, l.CutHead(uint64(len(model)+1)))
			pin := l.retainView() // a reader of the old files
			require.NoError(t, l.repack())
			assert.Zero(t, layered.Status().Waiting)
			assert.Positive(t, l.Stats().Repacked)
			for _, s := range pin.segments {
				require.NoError(t, l.scanSegment(s, s.end, func(Record) error { return nil }))
			}
			pin.release()
			require.NoError(t, l.Close())
			after := test.after
			after.OldKeys = nil
			var found []Record
			l, recovery, err := Open(Options{Files: WithLayers(d, after), SegmentSize: 1024}, uint64(len(model)), collect(&found))
			require.NoError(t, err)
			assert.Empty(t, recovery.Damages)
			assert.Len(t, found, 1)
			require.NoError(t, l.Close())
		})
	}
}

// repackCrashRun loses a log to a crash right behind its rotation: the new key must open all of it.
func repackCrashRun(seed uint64, ignored string) (crashes int, problem string) {
	rng := rand.New(rand.NewPCG(seed, 3))
	d := newDisk()
	d.ignored = ignored
	o := Options{Files: WithLayers(d, Layers{Key: keyOf(1)}), Fsync: Always, SegmentSize: 1024}
	l, _, err := Open(o, 0, nil)
	if err != nil {
		return 0, err.Error()
	}
	for n := range uint64(20) {
		l.Append(1, payload(rng, 1, n+1, 80))
	}
	_ = l.Close()
	layered := WithLayers(d, Layers{Key: keyOf(2), OldKeys: []*Key{keyOf(1)}})
	o.Files = layered
	if l, _, err = Open(o, 20, nil); err != nil {
		return 0, err.Error()
	}
	l.Append(1, nil)
	err = errors.Join(l.Begin(1, 0), l.CutHead(22), l.repack())
	if err != nil || layered.Status().Waiting > 0 {
		return 0, fmt.Sprintf("it is not written again: %v", err)
	}
	d.mu.Lock()
	d.stopAt = max(1, d.steps)
	d.mu.Unlock()
	_ = l.Close()
	d.powerOff(rng)
	o.Files = WithLayers(d, Layers{Key: keyOf(2)})
	if l, _, err = Open(o, 21, nil); err != nil {
		return 1, err.Error()
	}
	found := map[uint64]bool{}
	err = l.eachSegment(func(s *segment) error {
		return l.scanSegment(s, l.endOf(s), func(r Record) error {
			found[r.Number] = true
			return nil
		})
	})
	if err = errors.Join(err, l.Close()); err != nil {
		return 1, err.Error()
	}
	for n := range uint64(20) {
		if !found[n+1] {
			return 1, fmt.Sprintf("record %d is gone", n+1)
		}
	}
	return 1, ""
}

func (l *Log) eachSegment(f func(*segment) error) error {
	v := l.retainView()
	defer v.release()
	for _, s := range v.segments {
		if err := f(s); err != nil {
			return err
		}
	}
	return nil
}

// A crash right behind a rotation leaves files of the new key alone.
func TestCrashesBehindARotation(t *testing.T) {
	for range 50 {
		seed := testseed.New()
		_, problem := repackCrashRun(seed, "")
		require.Empty(t, problem, "seed %d", seed)
	}
}

// A segment of small frames is packed: it takes less space, and has the same content, damage included.
func TestPacking(t *testing.T) {
	for _, test := range allLayers {
		t.Run(test.name, func(t *testing.T) {
			d := newDisk()
			o := Options{Files: WithLayers(d, test.layers), Fsync: Always, SegmentSize: 64 << 10}
			l, _, err := Open(o, 0, nil)
			require.NoError(t, err)
			for n := range 900 {
				l.Append(1, fmt.Appendf(nil, `{"order":%d,"name":"a name","price":%d.95,"tags":["one","two","three"]}`, n, n%100))
				if n%2 == 0 {
					require.NoError(t, l.Sync())
				}
			}
			broken := int64(len(d.names[segmentName(1)].current)) / 2
			d.mu.Lock()
			d.names[segmentName(1)].current[broken] ^= 1
			d.mu.Unlock()
			require.NoError(t, l.CutHead(901))
			require.NoError(t, l.awaitSyncer()) // the first segment is sealed
			first := l.present()[0]
			content := func() []byte {
				s := l.present()[0]
				size, err := s.file().Size()
				require.NoError(t, err)
				b := make([]byte, size)
				_, err = s.file().ReadAt(b, 0)
				require.NoError(t, err)
				return b
			}
			before, size := content(), len(d.names[segmentName(1)].current)
			require.NoError(t, l.repack())
			after := len(d.names[segmentName(1)].current)
			require.NotSame(t, first, l.present()[0])
			assert.Equal(t, before, content())
			assert.Less(t, after, size)
			if test.layers.Compress != CompressNone {
				assert.Less(t, after, size/2)
			}
			t.Logf("%d bytes: %d, packed %d", len(before), size, after)
			packed := l.Stats().Repacked
			require.NoError(t, l.repack())
			assert.Equal(t, packed, l.Stats().Repacked, "once")
			require.NoError(t, l.Close())
		})
	}
}

// The file of a key has 32 bytes in hex or base64, and one owner.
func TestReadKey(t *testing.T) {
	hexKey := strings.Repeat("0a", 32)
	tests := []struct {
		name, content string
		mode          fs.FileMode
		err           string
	}{
		{"hex", hexKey + "\n", 0o600, ""},
		{"base64", "CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo=\n", 0o400, ""},
		{"too short", "0a0a", 0o600, "has no key: expected 32 bytes in hex or base64; make one by: openssl rand -hex 32"},
		{"empty", "", 0o600, "has no key"},
		{"too long", strings.Repeat("0a", 1000), 0o600, "has no key"},
		{"read by others", hexKey, 0o640, "can be read by other users; type: chmod 600 "},
		{"written by others", hexKey, 0o602, "can be read by other users"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			require.NoError(t, os.WriteFile(path, []byte(test.content), 0o600))
			require.NoError(t, os.Chmod(path, test.mode))
			k, err := ReadKey(path)
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				if len(test.content) > 3 {
					assert.NotContains(t, err.Error(), test.content[:4], "nothing of it is shown")
				}
				return
			}
			require.NoError(t, err)
			assert.Equal(t, [keySize]byte(bytes.Repeat([]byte{10}, keySize)), k.secret)
		})
	}
	_, err := ReadKey(t.TempDir())
	require.ErrorContains(t, err, "is no file")
	_, err = ReadKey(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestParseCompression(t *testing.T) {
	for _, c := range []Compression{CompressNone, CompressS2, CompressZstd} {
		got, err := ParseCompression(strings.ToUpper(c.String()))
		require.NoError(t, err)
		assert.Equal(t, c, got)
	}
	_, err := ParseCompression("gzip")
	assert.EqualError(t, err, `expected none, s2, zstd, not "gzip"`)
}

// Files of a newer format are refused, with both formats and the file, and stay as they are.
func TestNewerFormats(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 15))
	plain, _ := writeLog(t, rng, 10, Always, true)
	layered, _ := writeLayered(t, rng, Layers{Compress: CompressS2}, 10, true)
	tests := []struct {
		name  string
		files image
		file  string
		sum   func(content []byte)
	}{
		{"the directory", plain, metaName, func(b []byte) { putSum(b) }},
		{"a segment", plain, segmentName(1), func(b []byte) { putSum(b[:segmentHeaderSize]) }},
		{"a file of frames", layered, segmentName(1), func(b []byte) { putSum(b[:fileHeaderSize]) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			files := image{}
			for name, content := range test.files {
				files[name] = slices.Clone(content)
			}
			files[test.file][7] = '2'
			test.sum(files[test.file])
			d := files.disk()
			_, _, err := Open(Options{Files: WithLayers(d, Layers{}), SegmentSize: 1024}, 0, ignoreRecord)
			require.ErrorIs(t, err, ErrNewer)
			assert.EqualError(t, err, "a newer version of conch has written the files: "+test.file+" has the format 2, and this version of conch reads formats up to 1")
			assert.Equal(t, files, d.image())
		})
	}
}

// putSum makes the sum at the end of b hold.
func putSum(b []byte) {
	n := len(b) - 4
	binary.LittleEndian.PutUint32(b[n:], crc32.Checksum(b[:n], castagnoli))
}
