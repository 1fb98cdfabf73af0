package protocol

import "bytes"

// Run is one or more adjacent PUBLISH commands to one topic, spelled alike. Such a command differs from the message frame
// of RESP2 in the name only, and the names have the same length: PUBLISH and message, SPUBLISH and smessage. So
// RewriteAsMessages turns the bytes read into the bytes sent, in place, without encoding a frame.
//
// Lines form runs too, without frames.
type Run struct {
	Frames   []byte // complete commands, adjacent; they alias the read buffer
	Payloads [][]byte
	overhead int // bytes of each frame without the payload and the digits of its length
}

// nameOffset is the offset of the name in a command of three arguments whose name has fewer than ten letters.
const nameOffset = len("*3\r\n$7\r\n")

// Scan sets r to the run that starts with args, a PUBLISH or SPUBLISH in RESP that ends at buf[used]. It appends the
// payloads to scratch and returns the end of the run: the start of the first command with another name, topic or
// spelling, with a payload over limit, malformed or incomplete. Next parses that one. A command costs two comparisons.
func (r *Run) Scan(args [][]byte, buf []byte, used int, scratch [][]byte, limit int) (end int) {
	name, topic, payload := args[0], args[1], args[2]
	r.overhead = nameOffset + len(name) + 2 + HeaderLen(len(topic)) + len(topic) + 2 + len("$\r\n") + 2
	start := used - r.size(len(payload)) // bytes before it, such as an empty command, are not part of the run
	first := buf[start:used]
	prefixWithLen := first[:len(first)-len(payload)-2]
	prefix := first[:len(prefixWithLen)-HeaderLen(len(payload))+1]
	r.Payloads = append(scratch, payload)
	for {
		p, n := nextSameTopic(buf[used:], prefixWithLen, prefix, len(payload), limit)
		if n == 0 {
			break
		}
		r.Payloads = append(r.Payloads, p)
		used += n
	}
	r.Frames = buf[start:used]
	return used
}

// nextSameTopic parses the next command of a run from the front of buf. It tries the length of the last payload first:
// most payloads of a run have the same length.
func nextSameTopic(buf, prefixWithLen, prefix []byte, length, limit int) (payload []byte, n int) {
	if !bytes.HasPrefix(buf, prefixWithLen) {
		if !bytes.HasPrefix(buf, prefix) {
			return nil, 0
		}
		return bulk(buf, len(prefix)-len("$"), limit)
	}
	at := len(prefixWithLen)
	end := at + length
	if len(buf) < end+2 || buf[end] != '\r' || buf[end+1] != '\n' {
		return nil, 0
	}
	return buf[at:end:end], end + 2
}

// NextPublish parses one more publish from the front of buf: the same spelling of the name as before, any topic. It
// appends the arguments to scratch; n is 0 for any other command, which Next parses. Next takes three times as long,
// because it accepts every command, also in pieces.
func NextPublish(buf, name []byte, scratch [][]byte, l *Limits) (args [][]byte, n int) {
	end := nameOffset + len(name)
	if len(buf) < end+2 || string(buf[nameOffset:end]) != string(name) || string(buf[:5]) != "*3\r\n$" ||
		buf[5] != byte('0'+len(name)) || string(buf[6:nameOffset]) != "\r\n" || string(buf[end:end+2]) != "\r\n" {
		return scratch, 0
	}
	topic, at := bulk(buf, end+2, l.Topic)
	if at == 0 {
		return scratch, 0
	}
	payload, at := bulk(buf, at, l.Message)
	if at == 0 {
		return scratch, 0
	}
	return append(scratch, name, topic, payload), at
}

// bulk parses the bulk string at buf[at:]. end is 0 if it is incomplete, over limit, or malformed.
func bulk(buf []byte, at, limit int) (s []byte, end int) {
	n, start := 0, at+1
	for at = start; at < len(buf) && buf[at]-'0' <= 9 && n <= limit; at++ {
		n = n*10 + int(buf[at]-'0')
	}
	end = at + 2 + n
	if at == start || n > limit || len(buf) < end+2 || buf[start-1] != '$' || buf[start] == '0' && at > start+1 ||
		buf[at] != '\r' || buf[at+1] != '\n' || buf[end] != '\r' || buf[end+1] != '\n' {
		return nil, 0
	}
	return buf[at+2 : end : end], end + 2
}

// maxLineRun ends a run of lines at so many bytes, so that the encoded messages fit into a pooled buffer.
const maxLineRun = 32 << 10

// ScanLines is Scan for PUB lines. Such a run has no frames: UPDATE lines are encoded.
func (r *Run) ScanLines(c *Command, buf []byte, used int, scratch [][]byte, limit int) (end int) {
	verb, topic, payload := c.Args[0], c.Args[1], c.Args[2]
	r.Payloads = append(scratch, payload)
	ending := "\n"
	if c.CRLF {
		ending = "\r\n"
	}
	last := used - len(ending) - len(payload)
	first := last - len(verb) - len(topic) - 2
	if !standsAt(verb, buf, first) || !standsAt(topic, buf, first+len(verb)+1) {
		return used // extra blanks, or telnet sequences in between
	}
	prefix := buf[first:last]
	for {
		p, n := nextLine(buf[used:], prefix, ending)
		if n == 0 || n > limit || used > maxLineRun {
			break
		}
		r.Payloads = append(r.Payloads, p)
		used += n
	}
	return used
}

// standsAt reports whether the non-empty arg aliases buf at offset at. It compares addresses, not bytes: the scanner moves
// text to drop telnet sequences, so that an argument may lie elsewhere than the end of its line suggests. With verb and
// topic in place the payload is too, because its length is the distance from topic to line end.
func standsAt(arg, buf []byte, at int) bool { return at >= 0 && &arg[0] == &buf[at] }

// nextLine parses the next line of a run from the front of buf. Next parses lines with telnet sequences.
func nextLine(buf, prefix []byte, ending string) (payload []byte, n int) {
	if !bytes.HasPrefix(buf, prefix) {
		return nil, 0
	}
	rest := buf[len(prefix):]
	lf := bytes.IndexByte(rest, '\n')
	if lf < 0 || bytes.IndexByte(rest[:lf], iac) >= 0 {
		return nil, 0
	}
	line, cr := bytes.CutSuffix(rest[:lf], []byte{'\r'})
	if cr != (len(ending) == 2) {
		return nil, 0
	}
	return line, len(prefix) + lf + 1
}

// RewriteAsMessages overwrites the commands with message frames of RESP2, in place. It destroys the command names in the
// read buffer: the caller must have kept the arguments that it still needs.
func (r *Run) RewriteAsMessages() {
	kind := "message"
	if r.Frames[nameOffset-3] == '8' {
		kind = "smessage"
	}
	at := 0
	for _, payload := range r.Payloads {
		copy(r.Frames[at+nameOffset:], kind)
		at += r.size(len(payload))
	}
}

// AppendFrames appends the rewritten frames in a version of RESP.
func (r *Run) AppendFrames(dst []byte, v Version) []byte {
	n := len(dst)
	dst = append(dst, r.Frames...)
	r.setVersion(dst[n:], v)
	return dst
}

// SetVersion changes the rewritten frames to a version of RESP, in place.
func (r *Run) SetVersion(v Version) { r.setVersion(r.Frames, v) }

func (r *Run) setVersion(frames []byte, v Version) {
	first := byte(Array)
	if v == RESP3 {
		first = Push
	}
	if frames[0] == first {
		return // all frames have the same version
	}
	at := 0
	for _, payload := range r.Payloads {
		frames[at] = first
		at += r.size(len(payload))
	}
}

// size is the length of a frame with a payload of n bytes.
func (r *Run) size(n int) int { return r.overhead + digits(n) + n }

// HeaderLen is the length of the header for n arguments, or for an argument of n bytes.
func HeaderLen(n int) int { return len("$\r\n") + digits(n) }

func digits(n int) int {
	d := 1
	for ; n > 9; n /= 10 {
		d++
	}
	return d
}
