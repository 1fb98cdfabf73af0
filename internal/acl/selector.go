package acl

import "strings"

// selector is a set of rules that stands alone: allowed commands, and the keys and topics that they may use.
type selector struct {
	commands commandSet
	channels patterns
	keys     patterns
}

func newSelector() selector {
	return selector{channels: patterns{sigil: "&"}, keys: patterns{sigil: "~"}}
}

func (s *selector) clone() selector {
	return selector{commands: s.commands.clone(), channels: s.channels.clone(), keys: s.keys.clone()}
}

// apply applies one rule about commands, topics or keys. Its errors are ruleErrs.
func (s *selector) apply(reg *Registry, rule string) error {
	switch word := Lower(rule); word {
	case "":
		return errSyntax
	case "allkeys", "~*":
		s.keys.reset(true)
	case "resetkeys":
		s.keys.reset(false)
	case "allchannels", "&*":
		s.channels.reset(true)
	case "resetchannels":
		s.channels.reset(false)
	case "allcommands", "+@all":
		s.commands.setAll(true)
	case "nocommands", "-@all":
		s.commands.setAll(false)
	default:
		return s.applySigil(reg, rule)
	}
	return nil
}

// applySigil applies a rule that is a sign and a name.
func (s *selector) applySigil(reg *Registry, rule string) error {
	allow := rule[0] == '+'
	switch rule[0] {
	case '~':
		return s.grant(&s.keys, rule[1:], readWrite)
	case '&':
		return s.grant(&s.channels, rule[1:], readWrite)
	case '%':
		return s.grantRights(rule)
	case '+', '-':
		if category, ok := strings.CutPrefix(rule[1:], "@"); ok {
			return s.commands.category(reg, Lower(category), allow)
		}
		return s.commands.command(reg, rule[1:], allow)
	}
	return errSyntax
}

// grantRights applies %R~glob and its relatives: each letter once in any order, then the sigil of keys or topics.
func (s *selector) grantRights(rule string) error {
	var granted rights
	for i := 1; i < len(rule); i++ {
		right := map[byte]rights{'R': read, 'W': write}[rule[i]&^0x20]
		switch {
		case right != 0 && granted&right == 0:
			granted |= right
		case granted != 0 && rule[i] == '~':
			return s.grant(&s.keys, rule[i+1:], granted)
		case granted != 0 && rule[i] == '&':
			return s.grant(&s.channels, rule[i+1:], granted)
		default:
			return errSyntax
		}
	}
	return errSyntax
}

// grant adds a glob to the topics or the keys. As in Redis it fails if everything is granted already: the rule would
// have no effect, which is probably a mistake.
func (s *selector) grant(p *patterns, glob string, r rights) error {
	switch {
	case p.all && p == &s.keys:
		return errAllKeys
	case p.all:
		return errAllChannels
	}
	return p.add(glob, r)
}

// parseSelector parses rules in parentheses: all rules of a user except on, off and passwords.
func parseSelector(reg *Registry, rules string) (selector, error) {
	s := newSelector()
	for _, rule := range strings.FieldsFunc(rules[1:len(rules)-1], isSpace) {
		if strings.HasSuffix(rule, ")") {
			return s, errSyntax // Redis accepts it, and then writes a file in which the selector ends here
		}
		if err := s.apply(reg, rule); err != nil {
			return s, err
		}
	}
	return s, nil
}

// joinSelectors joins the words of selectors that were split at spaces.
func joinSelectors(words []string) ([]string, error) {
	var out []string
	for i := 0; i < len(words); i++ {
		if !strings.HasPrefix(words[i], "(") {
			out = append(out, words[i])
			continue
		}
		end := i
		for !strings.HasSuffix(words[end], ")") {
			end++
			if end == len(words) || strings.HasPrefix(words[end], "(") {
				return nil, &ParenthesisError{Start: words[i]}
			}
		}
		out = append(out, strings.Join(words[i:end+1], " "))
		i = end
	}
	return out, nil
}

// String returns the selector as in ACL LIST.
func (s *selector) String() string {
	var words []string
	if keys := s.keys.String(); keys != "" {
		words = append(words, keys)
	}
	if !s.channels.all {
		words = append(words, "resetchannels")
	}
	if channels := s.channels.String(); channels != "" {
		words = append(words, channels)
	}
	return strings.Join(append(words, s.commands.String()), " ")
}
