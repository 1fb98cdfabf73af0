package protocol

import "bytes"

// Run is one PUBLISH command or several in a spec, to one topic and written alike. Such a command differs from the
// message frame of RESP2 in its name only, and the names have the same length: PUBLISH and message, SPUBLISH and
// smessage. So what was read can be what is sent, without being written anew.
//
// Lines make runs as well. Those have no frames.
type Run struct {
	Frames   []byte // whole commands, side by side
	Payloads [][]byte
	overhead int // bytes of each frame but for the payload and its length
}

// nameOffset is where the name stands in a command of three arguments whose name has less than ten letters.
const nameOffset = len("*3\r\n$7\r\n")

// Scan makes r the run that begins with a PUBLISH or SPUBLISH in RESP, just found to end at buf[used].
// It appends the payloads to room, and returns where the run ends: before the first command that is of another kind, to
// another topic, spelt differently, wrong, longer than limit, or not whole. That one is for Next. A command costs two
// comparisons here.
func (r *Run) Scan(args [][]byte, buf []byte, used int, scratch [][]byte, limit int) (end int) {
	name, topic, payload := args[0], args[1], args[2]
	r.overhead = nameOffset + len(name) + 2 + headerLen(len(topic)) + len(topic) + 2 + len("$\r\n") + 2
	start := used - r.size(len(payload)) // what stands before that, such as an empty command, has been skipped
	first := buf[start:used]
	prefixWithLen := first[:len(first)-len(payload)-2]
	prefix := first[:len(prefixWithLen)-headerLen(len(payload))+1]
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

// nextSameTopic takes one more command of a run from the front of buf. Most payloads of a run have the same length, so
// that is tried first.
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

// NextPublish takes one more command from the front of buf if it is written as the one before was, whose name was spelt
// so, but may go to another topic. It appends its arguments to room; n is 0 for a command that is Next's. Next needs
// three times as long: it must be ready for anything, and for half of it.
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

// bulk reads the bulk string at buf[at:]. end is 0 if it is not whole, too long, or wrong.
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

// maxLineRun is from how many bytes on a run of lines is cut: what is made of it should fit into pooled memory.
const maxLineRun = 32 << 10

// ScanLines is Find for a PUB in a line. Such a run has no frames: UPDATE lines are made anew.
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
		return used // more blanks than needed, or telnet's sequences in between
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

// standsAt tells whether arg, which is not empty, is the bytes of buf from at on and not bytes like them. Addresses decide:
// where the scanner has dropped something, it has moved the text, and an argument stands elsewhere than the end of its
// line suggests. With verb and topic in place the payload is too: what is left between topic and end has its length.
func standsAt(arg, buf []byte, at int) bool { return at >= 0 && &arg[0] == &buf[at] }

// nextLine takes one more line of a run from the front of buf. A line with telnet's sequences in it is for Next.
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

// RewriteAsMessages makes the commands message frames of RESP2, in place.
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

// AppendFrames appends the renamed frames as they are read in one version.
func (r *Run) AppendFrames(dst []byte, v Version) []byte {
	n := len(dst)
	dst = append(dst, r.Frames...)
	r.setVersion(dst[n:], v)
	return dst
}

// SetVersion makes the renamed frames those of one version, in place.
func (r *Run) SetVersion(v Version) { r.setVersion(r.Frames, v) }

func (r *Run) setVersion(frames []byte, v Version) {
	first := byte(Array)
	if v == RESP3 {
		first = Push
	}
	if frames[0] == first {
		return // they are read in one piece, and so are alike
	}
	at := 0
	for _, payload := range r.Payloads {
		frames[at] = first
		at += r.size(len(payload))
	}
}

// size is the length of a frame with n bytes of payload.
func (r *Run) size(n int) int { return r.overhead + digits(n) + n }

// headerLen is the length of the line $n.
func headerLen(n int) int { return len("$\r\n") + digits(n) }

// HeaderLen is the length of the line that announces n arguments, or an argument of n bytes.
func HeaderLen(n int) int { return headerLen(n) }

func digits(n int) int {
	d := 1
	for ; n > 9; n /= 10 {
		d++
	}
	return d
}
