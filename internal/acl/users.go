package acl

import (
	"maps"
	"slices"
)

// Users holds all users by name, always including the default user. One goroutine owns it.
type Users struct {
	registry         *Registry
	byName           map[string]*User
	requiredPassword *Digest // of the default user, if the ACL file does not define that user
	maxSecrets       int     // most passwords and tokens that a user has ever had: Authenticate compares as many
	// tokenOwners has the name of each token's user, for TokenOwner.
	tokenOwners map[Digest]string
}

// NewUsers returns the users of an unconfigured server: the default user, without a password and with all rights.
func NewUsers(reg *Registry) *Users {
	us := &Users{registry: reg, byName: make(map[string]*User), tokenOwners: make(map[Digest]string)}
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
		panic(err) // these rules are valid
	}
	return u
}

func (us *Users) store(u *User) {
	us.removeTokenOwner(u.name)
	us.byName[u.name] = u
	for i := range u.tokens {
		us.tokenOwners[u.tokens[i].digest] = u.name
	}
	us.maxSecrets = max(us.maxSecrets, u.passwords.len()+len(u.tokens))
}

// Find returns a user, or nil.
func (us *Users) Find(name string) *User { return us.byName[name] }

// Names returns all names sorted by bytes, as in ACL USERS and ACL LIST.
func (us *Users) Names() []string { return slices.Sorted(maps.Keys(us.byName)) }

// Set implements ACL SETUSER: it changes a user by rules, or creates one that has no other rights. It applies all rules
// or none. A selector may be split over several rules, as redis-cli sends it.
//
// It fails with a [RuleError] or a [ParenthesisError], or for a name with white space or NUL.
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

// Delete removes users with their secrets and returns how many existed. It fails without removing any if the default
// user is among the names.
func (us *Users) Delete(names ...string) (deleted int, err error) {
	if slices.Contains(names, DefaultUser) {
		return 0, errDefault
	}
	before := len(us.byName)
	for _, name := range names {
		us.removeTokenOwner(name)
		delete(us.byName, name)
	}
	return before - len(us.byName), nil
}

// RequirePassword sets the only password of the default user; nil removes it. The setting also applies after [Users.Load]
// of a file without that user.
func (us *Users) RequirePassword(password *Digest) {
	us.requiredPassword = password
	rule := "nopass"
	if password != nil {
		rule = "#" + password.String()
	}
	u, err := us.byName[DefaultUser].with([]string{"resetpass", rule})
	if err != nil {
		panic(err) // these rules are valid
	}
	us.store(u)
}
