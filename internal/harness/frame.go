package harness

import (
	"bufio"
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
)

// ReadFrame reads the bytes of one reply, a RESP value of either version or a line. It returns io.EOF at the end.
func ReadFrame(r *bufio.Reader) ([]byte, error) {
	var frame []byte
	for values := 1; values > 0; values-- {
		header, err := r.ReadBytes('\n')
		if err != nil {
			return append(frame, header...), err
		}
		frame = append(frame, header...)
		n, err := strconv.Atoi(string(bytes.TrimSpace(header[1:])))
		switch {
		case err != nil || n < 0:
		case header[0] == '*' || header[0] == '>' || header[0] == '~':
			values += n
		case header[0] == '%':
			values += 2 * n
		case header[0] == '$' || header[0] == '=':
			body := make([]byte, n+2)
			if _, err := io.ReadFull(r, body); err != nil {
				return frame, err
			}
			frame = append(frame, body...)
		}
	}
	return frame, nil
}

// Payload returns a message that contains its publisher and number, and a checksum.
func Payload(publisher, number, size int) string {
	body := fmt.Sprintf("%d-%d:%s", publisher, number, strings.Repeat(string(rune('a'+number%26)), size))
	return fmt.Sprintf("%s:%08x", body, crc32.ChecksumIEEE([]byte(body)))
}

// Verify returns the "publisher-number" of a Payload; ok is false if the checksum does not match.
func Verify(payload string) (id string, ok bool) {
	i := strings.LastIndexByte(payload, ':')
	if i < 0 || fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(payload[:i]))) != payload[i+1:] {
		return "", false
	}
	id, _, ok = strings.Cut(payload, ":")
	return id, ok
}
