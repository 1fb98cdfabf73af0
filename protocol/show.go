package protocol

const hexDigits = "0123456789abcdef"

// ShowMessage appends a message as it is shown in a line. Nothing that a publisher sends can start another line or
// drive a terminal: CR and LF are shown as \r and \n; the other C0 controls but TAB, DEL, and 0xFF (which telnet would
// take for the start of a command) as \xNN. It is for eyes, and not reversible: a backslash stands as it is.
func ShowMessage(dst, message []byte) []byte {
	start := 0
	for i, c := range message {
		if isPlain(c) {
			continue
		}
		dst = append(dst, message[start:i]...)
		dst = appendShown(dst, c)
		start = i + 1
	}
	return append(dst, message[start:]...)
}

// ShowTopic is the same for a topic or a pattern, which in a line ends at a space: spaces and backslashes are shown as
// \x20 and \x5c.
func ShowTopic(dst, topic []byte) []byte {
	for _, c := range topic {
		if isPlain(c) && c != ' ' && c != '\\' {
			dst = append(dst, c)
		} else {
			dst = appendShown(dst, c)
		}
	}
	return dst
}

func isPlain(c byte) bool { return c >= ' ' && c != 0x7f && c != iac || c == '\t' }

func appendShown(dst []byte, c byte) []byte {
	switch c {
	case '\r':
		return append(dst, `\r`...)
	case '\n':
		return append(dst, `\n`...)
	}
	return append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
}
