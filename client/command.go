package client

import "strconv"

// appendCommand appends a command in RESP.
func appendCommand(b []byte, args ...string) []byte {
	b = appendHead(b, '*', len(args))
	for _, arg := range args {
		b = appendText(b, arg)
	}
	return b
}

// appendPublish appends PUBLISH topic payload.
func appendPublish(b []byte, topic string, payload []byte) []byte {
	b = append(b, "*3\r\n$7\r\nPUBLISH\r\n"...)
	b = appendText(b, topic)
	b = appendHead(b, '$', len(payload))
	b = append(b, payload...)
	return append(b, "\r\n"...)
}

func appendText(b []byte, text string) []byte {
	b = appendHead(b, '$', len(text))
	b = append(b, text...)
	return append(b, "\r\n"...)
}

func appendHead(b []byte, head byte, n int) []byte {
	b = append(b, head)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, "\r\n"...)
}
