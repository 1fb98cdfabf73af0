package acl

import (
	"maps"
	"slices"
)

// Users is all users by name, the default user always among them. One goroutine owns it.
type Users struct {
	registry         *Registry
	byName           map[string]*User
	requiredPassword *Digest // the default user's password, where the file says nothing about that user
	maxSecrets       int     // no user has ever had more passwords and tokens: so many are compared for everybody
}

// NewUsers returns the users of a server that nobody has set up: the default user, who needs no password and may do
// everything.
func NewUsers(l *Registry) *Users {
	us := &Users{registry: l, byName: make(map[string]*User)}
	us.store(us.newDefault())
	return us
}

func (us *Users) newDefault() *User {
	password := "nopass"
	if us.requiredPassword != nil {
		password = "#" + us.requiredPassword.String()
	}
	u, err := newUser(us.registry, DefaultUser).with([]string{"on", password, "~*", "&*", "+@all"})
	if err != nil {
		panic(err) // these rules are part of the language
	}
	return u
}

func (us *Users) store(u *User) {
	us.byName[u.name] = u
	us.maxSecrets = max(us.maxSecrets, u.passwords.len()+len(u.tokens))
}

// Find returns a user, or nil.
func (us *Users) Find(name string) *User { return us.byName[name] }

// Names returns all names in the order of their bytes, as ACL USERS and ACL LIST do.
func (us *Users) Names() []string { return slices.Sorted(maps.Keys(us.byName)) }

// Set changes a user by rules, or makes a new one, who may do nothing but what the rules say: ACL SETUSER. It takes all
// rules or none. A selector may be split over several rules, as redis-cli sends it.
//
// It fails with a [RuleError] or a [ParenthesisError], or for a name with a space or a zero byte.
func (us *Users) Set(name string, rules ...string) error {
	if hasSpace(name) {
		return errUserName
	}
	joined, err := joinSelectors(rules)
	if err != nil {
		return err
	}
	u := us.byName[name]
	if u == nil {
		u = newUser(us.registry, name)
	}
	if u, err = u.with(joined); err != nil {
		return err
	}
	us.store(u)
	return nil
}

// Delete forgets users with their passwords and tokens, and says how many there were. The default user cannot be
// deleted: if it is named, nobody is.
func (us *Users) Delete(names ...string) (deleted int, err error) {
	if slices.Contains(names, DefaultUser) {
		return 0, errDefault
	}
	before := len(us.byName)
	for _, name := range names {
		delete(us.byName, name)
	}
	return before - len(us.byName), nil
}

// RequirePassword gives the default user this password and no other, and so it stays when a file is loaded that does
// not speak of that user. nil takes the password away.
func (us *Users) RequirePassword(password *Digest) {
	us.requiredPassword = password
	rule := "nopass"
	if password != nil {
		rule = "#" + password.String()
	}
	u, err := us.byName[DefaultUser].with([]string{"resetpass", rule})
	if err != nil {
		panic(err) // these rules are part of the language
	}
	us.store(u)
}
