package web

// Routes are the routes: method, path and right.
func Routes() (all [][]string) {
	for _, r := range new(Server).table() {
		all = append(all, []string{r.method, r.path, r.right})
	}
	return all
}
