package protocol

import "strings"

// KeySpec is where the keys of a command are among its arguments, and what it does with them, as in the key
// specifications of Redis.
type KeySpec struct {
	// First and Last are the indexes of the first and the last key, with the name at 0; a negative Last counts from the
	// end. All between them are keys.
	First, Last int
	// Keyword is a word that the keys follow. Then half of what follows it are keys, and package keyargs finds them.
	Keyword string
	// Options means that the keys end where the options begin, and that globs among them are none: package keyargs finds them.
	Options bool
	Flags   []string // RO, access and the others

	// Reads and Writes are the rights to a key that the flags imply: to return what it holds, and to change it.
	Reads, Writes bool
}

// keysAt makes a specification from the positions and the flags.
func keysAt(first, last int, flags string) *KeySpec {
	k := &KeySpec{First: first, Last: last, Flags: strings.Fields(flags)}
	for _, flag := range k.Flags {
		switch flag {
		case "access":
			k.Reads = true
		case "insert", "update", "delete":
			k.Writes = true
		}
	}
	return k
}

// behind makes the keys those that follow a word.
func (k *KeySpec) behind(keyword string) *KeySpec {
	k.Keyword = keyword
	return k
}

// beforeOptions makes the keys those names in front of the options that are no globs.
func (k *KeySpec) beforeOptions() *KeySpec {
	k.Options = true
	return k
}

// Find returns the keys among the arguments of a command, the name included.
func (k *KeySpec) Find(args [][]byte) [][]byte {
	last := k.Last
	if last < 0 {
		last += len(args)
	}
	if k.First > last || last >= len(args) {
		return nil
	}
	return args[k.First : last+1]
}
