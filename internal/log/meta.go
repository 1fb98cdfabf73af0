package log

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
)

// metaName is the file with what the whole directory has in common.
const metaName = "log.meta"

const (
	metaMagic = "conchmt"
	// metaFormat is the format of the directory. A later version of conch may write a later one; it keeps the magic, and a CRC32C at the end, so
	// that this one knows it.
	metaFormat = '1'
	epochSize  = 32
	// maxEpochs bounds the list: a broker that is restarted again and again must not fill the disk with it.
	maxEpochs = 4096
)

// Epoch is one life of the order of messages: a start of the broker.
type Epoch struct {
	ID          uint64
	First, Last uint64 // its sequence numbers; Last is First-1 if there were none, and unknown for the last epoch before Begin
	Clean       bool   // it ended by Close
}

// meta is the content of that file.
type meta struct {
	secret uint64 // what the salts of segments derive from
	head   uint64 // the number of the first record that opening needs
	epochs []Epoch
}

var errMeta = errors.New("log.meta is not whole")

func (m *meta) encode() []byte {
	b := append([]byte(metaMagic), metaFormat)
	b = binary.LittleEndian.AppendUint64(b, m.secret)
	b = binary.LittleEndian.AppendUint64(b, m.head)
	for _, e := range m.epochs {
		b = binary.LittleEndian.AppendUint64(b, e.ID)
		b = binary.LittleEndian.AppendUint64(b, e.First)
		b = binary.LittleEndian.AppendUint64(b, e.Last)
		clean := uint64(0)
		if e.Clean {
			clean = 1
		}
		b = binary.LittleEndian.AppendUint64(b, clean)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func parseMeta(b []byte) (m meta, err error) {
	n := len(b) - 4
	if n < 8 || string(b[:7]) != metaMagic || crc32.Checksum(b[:n], castagnoli) != binary.LittleEndian.Uint32(b[n:]) {
		return m, errMeta
	}
	if b[7] > metaFormat {
		return m, errNewer(metaName, b[7], metaFormat)
	}
	if n < 24 || (n-24)%epochSize != 0 {
		return m, errMeta
	}
	m.secret = binary.LittleEndian.Uint64(b[8:])
	m.head = binary.LittleEndian.Uint64(b[16:])
	if m.head == 0 || m.head > maxNumber {
		return meta{}, errMeta
	}
	for b := b[24:n]; len(b) > 0; b = b[epochSize:] {
		m.epochs = append(m.epochs, Epoch{
			ID: binary.LittleEndian.Uint64(b), First: binary.LittleEndian.Uint64(b[8:]), Last: binary.LittleEndian.Uint64(b[16:]),
			Clean: b[24] == 1,
		})
	}
	return m, nil
}

// writeMeta makes the present content durable.
func (l *Log) writeMeta(m meta) error {
	return Replace(l.files, metaName, func(w io.Writer) error {
		_, err := w.Write(m.encode())
		return err
	})
}

// changeMeta changes the content and makes it durable.
func (l *Log) changeMeta(change func(*meta)) error {
	l.metaWrites.Lock()
	defer l.metaWrites.Unlock()
	l.mu.Lock()
	m := l.meta
	l.mu.Unlock()
	m.epochs = slices.Clone(m.epochs)
	change(&m)
	if err := l.writeMeta(m); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.meta = m
	return nil
}

// Begin ends the epoch before at the sequence number last, and begins another. It is durable once Begin returns. It is called once,
// before anything is appended.
func (l *Log) Begin(id, last uint64) error {
	return l.changeMeta(func(m *meta) { m.begin(id, last, l.recovered.Clean) })
}

// begin ends the last epoch and adds another. The oldest one goes if there are too many.
func (m *meta) begin(id, last uint64, clean bool) {
	if n := len(m.epochs); n > 0 {
		m.epochs[n-1].Last, m.epochs[n-1].Clean = last, clean
	}
	m.epochs = append(m.epochs, Epoch{ID: id, First: last + 1})
	m.epochs = m.epochs[max(0, len(m.epochs)-maxEpochs):]
}

// Epochs returns all epochs, the present one last.
func (l *Log) Epochs() []Epoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.meta.epochs)
}
