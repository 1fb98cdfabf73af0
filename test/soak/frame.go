package soak

import (
	"strconv"
	"strings"
)

// kind is what a frame is to a subscriber.
type kind int

const (
	other       kind = iota // a reply, or something unknown
	message                 // a message of ours
	missing                 // notice of messages that are lost at this place
	closeNotice             // why the connection is about to be closed
	corrupt                 // a message that is not what was published
)

// parse reads one frame, in lines or RESP of either version. verify is what tells the id of a payload.
func parse(frame string, verify func(payload string) (id string, ok bool)) (event, kind) {
	var words []string // kind, topic or pattern, ..., payload
	var sequence string
	switch {
	case strings.HasPrefix(frame, "UPDATE #"):
		numbered := strings.SplitN(strings.TrimRight(frame, "\r\n"), " ", 4)
		if len(numbered) < 4 {
			return event{}, other
		}
		sequence = numbered[1][1:]
		words = []string{"message", numbered[2], numbered[3]}
	case strings.HasPrefix(frame, "UPDATE "):
		words = strings.SplitN(strings.TrimRight(frame, "\r\n"), " ", 3)
		words[0] = "message"
	case strings.HasPrefix(frame, "MISSED "):
		words = strings.SplitN(strings.TrimRight(frame, "\r\n"), " ", 3)
		if len(words) == 3 {
			words = []string{"missed", words[2], words[1]}
		}
	case strings.HasPrefix(frame, "ERR "):
		return event{}, closeNotice
	case strings.HasPrefix(frame, "*"), strings.HasPrefix(frame, ">"):
		words = elements(frame)
		if plain := map[string]int{"message": 3, "pmessage": 4}[first(words)]; plain > 0 && len(words) == plain+2 {
			sequence, words = words[plain], words[:plain]
		}
	}
	if len(words) < 3 {
		return event{}, other
	}
	last := words[len(words)-1]
	switch words[0] {
	case "message", "pmessage":
		id, ok := verify(last)
		if !ok {
			return event{topic: words[len(words)-2], id: last}, corrupt
		}
		return event{topic: words[len(words)-2], id: id, size: len(last), sequence: sequence}, message
	case "missed":
		n, err := strconv.Atoi(last)
		if last == "?" {
			n, err = unknown, nil
		}
		if err != nil {
			return event{}, other
		}
		return event{topic: words[1], missed: n}, missing
	case "closing":
		return event{}, closeNotice
	}
	return event{}, other
}

func first(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// elements are those of an array of bulk strings and numbers whose bytes hold no line ends.
func elements(frame string) (all []string) {
	lines := strings.Split(strings.TrimSuffix(frame, "\r\n"), "\r\n")[1:]
	for i := 0; i < len(lines); i++ {
		switch {
		case strings.HasPrefix(lines[i], "$") && i+1 < len(lines):
			i++
			all = append(all, lines[i])
		case strings.HasPrefix(lines[i], ":"):
			all = append(all, lines[i][1:])
		case lines[i] == "_":
			all = append(all, "?")
		}
	}
	return all
}
